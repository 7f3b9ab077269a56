//! The settings of every provider, with canaries in what is secret.

use std::fs;
use std::path::Path;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use stalker_tests::executables;
use stalker_tests::process::{Process, command};
use stalker_tests::server::Installation;

const PATIENCE: Duration = Duration::from_secs(30);

/// What a setting holds.
#[derive(Debug, Clone, Copy)]
pub(super) enum Setting {
    /// A key, which is sent.
    Key,
    /// A key, which is not sent here.
    KeptKey,
    /// A list of keys, which are not sent.
    KeptKeys,
    /// What webhooks are signed with: `whsec_` and base64.
    SigningKey,
    /// A list of these.
    SigningKeys,
    /// Where to send: its password, its path and its query are keys.
    Url,
    /// Where an API is, whose path is behind it: its own path is a key.
    Base,
    /// A program, whose argument is a key.
    Command,
    /// Nothing that is secret: a value in TOML, or none.
    Open(&'static str),
}

/// Every setting of every provider. A new one is a line here.
pub(super) const PROVIDERS: &[(&str, &[(&str, Setting)])] = &[
    ("command", &[("command", Setting::Command)]),
    (
        "email",
        &[
            // nobody listens there
            ("host", Setting::Open("'127.0.0.1'")),
            ("port", Setting::Open("1")),
            ("tls", Setting::Open("'starttls'")),
            ("ca_file", Setting::Open("")),
            ("user", Setting::Open("'somebody'")),
            ("password", Setting::KeptKey),
            ("from", Setting::Open("'stalker@example.net'")),
            ("to", Setting::Open("['somebody@example.net']")),
        ],
    ),
    (
        "http",
        &[
            ("url", Setting::Url),
            ("service_key", Setting::Key),
            ("previous_keys", Setting::KeptKeys),
        ],
    ),
    (
        "mailgun",
        &[
            ("url", Setting::Base),
            ("domain", Setting::Open("'mg.example.net'")),
            ("api_key", Setting::Key),
            ("from", Setting::Open("'stalker@example.net'")),
            ("to", Setting::Open("['somebody@example.net']")),
        ],
    ),
    (
        "ntfy",
        &[
            ("url", Setting::Base),
            ("topic", Setting::Key),
            ("token", Setting::Key),
        ],
    ),
    (
        "pagerduty",
        &[
            ("url", Setting::Base),
            ("api", Setting::Open("'v2'")),
            ("priority_one_key", Setting::Key),
            ("priority_two_key", Setting::KeptKey),
            ("previous_keys", Setting::KeptKeys),
        ],
    ),
    (
        "telegram",
        &[
            ("url", Setting::Base),
            ("token", Setting::Key),
            ("chat_id", Setting::Open("'@somebody'")),
            ("message_thread_id", Setting::Open("3")),
        ],
    ),
    ("slack", &[("url", Setting::Url)]),
    ("teams", &[("url", Setting::Url)]),
    ("discord", &[("url", Setting::Url)]),
    (
        "twilio",
        &[
            ("url", Setting::Base),
            ("sid", Setting::Open("'AC0123456789'")),
            ("token", Setting::Key),
            ("api_key_sid", Setting::Open("")),
            ("from", Setting::Open("'+15005550006'")),
            ("messaging_service_sid", Setting::Open("")),
            ("to", Setting::Open("['+15005550009']")),
            ("validity", Setting::Open("600")),
        ],
    ),
    (
        "webhook",
        &[
            ("url", Setting::Url),
            ("secret", Setting::SigningKey),
            ("previous_keys", Setting::SigningKeys),
            ("format", Setting::Open("'standard'")),
        ],
    ),
];

/// How secrets are set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Way {
    Plain,
    Environment,
    /// In files of their own.
    File,
    /// Plainly, but nobody listens where it leads.
    Refused,
}

/// A channel full of canaries.
pub(super) struct Channel {
    pub(super) name: String,
    /// All that it holds.
    pub(super) canaries: Vec<String>,
    /// Those that its receiver must hear.
    pub(super) sent: Vec<String>,
    provider: &'static str,
    way: Way,
    /// Name and value of each setting; several keys are several lines.
    settings: Vec<(&'static str, Setting, String)>,
}

impl Channel {
    pub(super) fn new(provider: &'static str, way: Way, receiver: &str) -> Self {
        let name = format!("{provider}_{way:?}").to_lowercase();
        let (_, settings) = PROVIDERS
            .iter()
            .find(|(known, _)| *known == provider)
            .expect("it is one of them");
        let mut channel = Self {
            name,
            canaries: Vec::new(),
            sent: Vec::new(),
            provider,
            way,
            settings: Vec::new(),
        };
        for (setting, kind) in *settings {
            let canary = canary(&format!("{}{setting}", channel.name));
            let value = match kind {
                Setting::Open(value) => {
                    channel.settings.push((setting, *kind, (*value).to_owned()));
                    continue;
                }
                Setting::Key | Setting::KeptKey | Setting::KeptKeys | Setting::Command => {
                    canary.clone()
                }
                Setting::SigningKey | Setting::SigningKeys => {
                    let key = STANDARD.encode(&canary);
                    channel.canaries.push(key.clone());
                    format!("whsec_{key}")
                }
                Setting::Base => format!("{receiver}/{}/{canary}", channel.name),
                Setting::Url => {
                    let [password, token] = ["password", "token"].map(self::canary);
                    let receiver = receiver.replace("//", &format!("//somebody:{password}@"));
                    let url = format!("{receiver}/{}/{canary}?token={token}", channel.name);
                    channel.hold(&[password, token], way != Way::Refused);
                    url
                }
            };
            let is_sent = matches!(kind, Setting::Key | Setting::Url | Setting::Base);
            if is_sent && way != Way::Refused {
                channel.sent.push(canary.clone());
            }
            channel.canaries.push(canary);
            channel.settings.push((setting, *kind, value));
        }
        channel
    }

    fn hold(&mut self, canaries: &[String], are_sent: bool) {
        self.canaries.extend_from_slice(canaries);
        if are_sent {
            self.sent.extend_from_slice(canaries);
        }
    }

    /// Something of it is told to the receiver.
    pub(super) fn is_heard(&self) -> bool {
        !self.sent.is_empty()
    }

    /// Sets all of it in its way.
    pub(super) fn configure(
        &self,
        mut installation: Installation,
        environment: &mut Vec<(String, String)>,
    ) -> Installation {
        let section = format!("channels.{}", self.name);
        installation = installation.set(&format!("{section}.provider"), self.provider);
        for (setting, kind, value) in &self.settings {
            if let Setting::Open(_) = kind {
                if !value.is_empty() {
                    let value: toml::Table = format!("it = {value}").parse().expect("it is TOML");
                    installation =
                        installation.set(&format!("{section}.{setting}"), value["it"].clone());
                }
                continue;
            }
            if let Setting::Command = kind {
                let words = vec!["/bin/true", value.as_str()];
                installation = installation.set(&format!("{section}.{setting}"), words);
                continue;
            }
            let is_list = matches!(kind, Setting::KeptKeys | Setting::SigningKeys);
            match self.way {
                Way::Plain | Way::Refused if is_list => {
                    installation =
                        installation.set(&format!("{section}.{setting}"), vec![value.as_str()]);
                }
                Way::Plain | Way::Refused => {
                    installation =
                        installation.set(&format!("{section}.{setting}"), value.as_str());
                }
                Way::Environment => {
                    let name = format!("STALKER__CHANNELS__{}__{setting}", self.name);
                    let value = if is_list {
                        format!("[\"{value}\"]")
                    } else {
                        value.clone()
                    };
                    environment.push((name.to_uppercase(), value));
                }
                Way::File => {
                    let file = installation.home().join(format!("{}-{setting}", self.name));
                    fs::write(&file, format!("{value}\n")).expect("a file can be written");
                    let file = file.to_str().expect("temporary paths are text").to_owned();
                    installation = installation.set(&format!("{section}.{setting}_file"), file);
                }
            }
        }
        installation
    }
}

/// Another cluster, whose key is set in one of the ways.
pub(super) struct Cluster {
    pub(super) id: String,
    pub(super) key: String,
    way: Way,
    host: String,
}

impl Cluster {
    pub(super) fn new(way: Way, url: &str) -> Self {
        let id = format!("cluster{way:?}").to_lowercase();
        Self {
            key: canary(&id),
            host: format!("{url}/{id}"),
            way,
            id,
        }
    }

    pub(super) fn configure(
        &self,
        installation: Installation,
        environment: &mut Vec<(String, String)>,
    ) -> Installation {
        let section = format!("clusters.{}", self.id);
        let installation = installation
            .set(&format!("{section}.host"), self.host.clone())
            .set("api.cache_ttl", 0);
        match self.way {
            Way::Environment => {
                let name = format!("STALKER__CLUSTERS__{}__KEY", self.id.to_uppercase());
                environment.push((name, self.key.clone()));
                installation
            }
            Way::File => {
                let file = installation.home().join(format!("{}-key", self.id));
                fs::write(&file, format!("{}\n", self.key)).expect("a file can be written");
                let file = file.to_str().expect("temporary paths are text").to_owned();
                installation.set(&format!("{section}.key_file"), file)
            }
            Way::Plain | Way::Refused => {
                installation.set(&format!("{section}.key"), self.key.clone())
            }
        }
    }
}

/// A text that stands nowhere else, of letters and digits only, whose beginning is its own too.
pub(super) fn canary(of: &str) -> String {
    let of = of.replace('_', "");
    format!("{:016x}canary{of}", rand::random::<u64>())
}

/// What could stand in the place of what is wrong in a channel's section, as the program says it.
pub(super) async fn expected_instead_of(section: &str) -> Vec<String> {
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let file = folder.path().join("stalkerd.toml");
    fs::write(&file, format!("[channels.x]\n{section}\n")).expect("a file can be written");
    let (_, said) = stalkerd("config", &file, &[]).await;
    let (_, expected) = said
        .split_once("expected ")
        .unwrap_or_else(|| panic!("{section}: {said}"));
    let expected = expected.split(" for key").next().unwrap_or(expected);
    let is_name = |part: &&str| {
        !part.is_empty() && part.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
    };
    let names = expected.split('`').filter(is_name);
    names.map(str::to_owned).collect()
}

/// Runs a tool with this configuration; whether it succeeded, and what it said.
pub(super) async fn stalkerd(
    tool: &str,
    config: &Path,
    environment: &[(&str, &str)],
) -> (bool, String) {
    let mut command = command(&executables::stalkerd());
    command.arg(tool).arg("--config").arg(config);
    let command = command.envs(environment.iter().copied());
    let mut process = Process::start("stalkerd", command);
    let status = process.ended(PATIENCE).await;
    (status.success(), process.output())
}
