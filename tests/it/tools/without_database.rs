//! What every tool says of a database that it cannot use: which one that is, who says so, and what is wrong with it.

use std::fs;
use std::path::Path;

use stalker_tests::executables;
use stalker_tests::process::{Process, command};

use super::*;

/// Expects a refusal in one line with these words, and nothing of the password.
fn says(said: &str, words: &[&str]) {
    for word in words {
        assert!(said.contains(word), "{word} is not in: {said}");
    }
    assert_eq!(said.lines().count(), 1, "{said}");
    assert!(!said.contains("Secret"), "{said}");
}

#[tokio::test]
async fn it_does_not_answer() {
    // nothing listens at port 1
    let nobody = Installation::at("postgres://stalker:Secret@127.0.0.1:1/stalker");
    let socket = Installation::at("postgres://stalker:Secret@localhost/stalker?host=/does/not");
    for tool in ["doctor", "alerts"] {
        let (succeeded, said) = nobody.tool(&[tool]).await;
        assert!(!succeeded, "{said}");
        says(
            &said,
            &["127.0.0.1:1", "DATABASE_URL", "does not answer", "refused"],
        );
        let (_, said) = socket.tool(&[tool]).await;
        says(&said, &["/does/not/.s.PGSQL.5432", "does not answer"]);
    }
}

#[tokio::test]
async fn it_does_not_let_us_in() {
    let database = TestDatabase::new().await;
    let (server, _) = database
        .url()
        .split_once('?')
        .unwrap_or((database.url(), ""));
    let (_, name) = server.rsplit_once('/').expect("it names a database");
    let gone = Installation::at(&database.url().replace(name, "no_such"));
    let (succeeded, said) = gone.tool(&["doctor"]).await;
    assert!(!succeeded, "{said}");
    says(&said, &["does not let us in", "no_such"]);
}

/// `stalkerd up` was killed: its file is there, and its database is gone.
#[tokio::test]
async fn its_server_was_killed() {
    let home = tempfile::tempdir().expect("a temporary folder can be made");
    let ready = home.path().join("ready.json");
    let url = "postgres://stalker:Secret@127.0.0.1:1/stalker";
    fs::write(&ready, format!(r#"{{"database": "{url}"}}"#)).expect("a file can be written");
    let path = ready.to_str().expect("temporary paths are text");
    says(
        &in_home(home.path()).await,
        &["127.0.0.1:1", path, "may have been killed", "refused"],
    );
    fs::remove_file(&ready).expect("it can be removed");
    says(&in_home(home.path()).await, &["no database: set"]);
}

/// Runs a tool that only knows its home, and must fail.
async fn in_home(home: &Path) -> String {
    let config = home.join("empty.toml");
    fs::write(&config, "").expect("a file can be written");
    let mut command = command(&executables::stalkerd());
    command.args(["alerts", "--config"]).arg(&config);
    let mut process = Process::start("tool", command.env("STALKER_HOME", home));
    let ended = process.ended(PATIENCE).await;
    assert!(!ended.success(), "{}", process.output());
    process.output()
}

#[tokio::test]
async fn its_schema_is_another_one() {
    let database = TestDatabase::new().await;
    for damage in [
        "delete from _sqlx_migrations where version = 1",
        "drop table _sqlx_migrations",
    ] {
        execute(database.pool(), damage).await;
        for tool in ["doctor", "alerts"] {
            let said = refused(&database, &[tool]).await;
            says(&said, &["is not this version's", "`stalkerd migrate`"]);
        }
    }
}
