//! What a stranger reads when everything runs.

use std::net::SocketAddr;

use super::home::Home;

#[expect(
    clippy::print_stdout,
    reason = "this is for the person who typed the command"
)]
pub(super) fn print(home: &Home, api: SocketAddr, password: Option<&str>) {
    let sign_in = match password {
        Some(password) => format!("user admin, password {password}   (told only now; another: stalkerd user passwd admin)"),
        None => "user admin, with the password of the first start   (another: stalkerd user passwd admin)".to_owned(),
    };
    println!(
        "
Stalker runs:   http://{api}   (the API, to be tried at http://{api}/docs)
Sign in:        http://{api}/signin   {sign_in}
Ctrl-C stops all of it; the same command goes on with the same data.

See the checks:
  KEY=$(sed -n 's/^stalkerweb_api_key=//p' {client})
  curl -s -H \"X-API-KEY: $KEY\" http://{api}/checks/
What is failing:
  curl -s -H \"X-API-KEY: $KEY\" http://{api}/checks/state/alerting
Break one, and mend it again:
  touch {broken}
  rm {broken}

Keys:           {settings} and {client}
Your checks:    any executable file in {scripts}
Logs:           here, and {log}
Who is told:    [channels.NAME] in {settings}
Everything is in {home}",
        broken = home.broken_file().display(),
        settings = home.settings_file().display(),
        client = home.client_file().display(),
        log = home.log_dir().display(),
        scripts = home.scripts_dir().display(),
        home = home.path().display(),
    );
}
