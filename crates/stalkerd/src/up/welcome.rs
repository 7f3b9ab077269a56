//! What a stranger reads when everything runs.

use std::net::SocketAddr;
use std::path::Path;

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
    let tools = std::env::current_exe().unwrap_or_default();
    let tools = tools.parent().unwrap_or(Path::new(""));
    println!(
        "
Stalker runs:   http://{api}   (the API, to be tried at http://{api}/docs)
Sign in:        http://{api}/signin   {sign_in}
Ctrl-C stops all of it; the same command goes on with the same data.

See the checks, and what is failing, live:
  export STALKER_HOME={home} PATH=$PATH:{tools}
  stalker checks list
  stalker top
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
        tools = tools.display(),
    );
}
