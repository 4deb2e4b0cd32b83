//! Servers and workers as processes of their own, with a settings file.

use std::fs;
use std::net::TcpListener;
use std::process::Child;

use reqwest::{Method, StatusCode};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};

use crate::client::{Client, eventually};
use crate::world::{self, minigram};

/// Ends with the test.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

impl Running {
    /// Asks it to end; true if it ended without an error.
    fn ends(&mut self) -> bool {
        kill_process(Pid::from_child(&self.0), Signal::TERM).unwrap();
        world::eventually("the process ends", || self.0.try_wait().unwrap()).success()
    }
}

const SETTINGS: &str = r#"
engines = "embedded"

[embedded]
directory = "data"

[tokens]
key_file = "token.key"

[app]
not_ready = "10ms"
drain = "5s"

[worker]
thumbnails = 1
"#;

#[tokio::test]
async fn a_server_and_a_worker_run_by_a_settings_file() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("minigram.toml");
    fs::write(&file, SETTINGS).unwrap();
    fs::write(folder.path().join("token.key"), "0123456789abcdef0123456789abcdef").unwrap();
    let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let start = |arguments: &[&str]| {
        let mut command = minigram();
        command.args(arguments).arg("--config").arg(&file).stderr(std::process::Stdio::null());
        Running(command.spawn().unwrap())
    };
    let mut server = start(&["server", "--name", "app-9", "--bind", &address.to_string()]);
    world::eventually("the server listens", || std::net::TcpStream::connect(address).ok());
    let mut worker = start(&["worker"]);

    let client = Client::new(address);
    let user = json!({ "name": "ada", "password": "a long password", "display_name": "Ada", "bio": "" });
    let signed_up = client.send(Method::POST, "/api/v1/users", |request| request.json(&user)).await;
    assert_eq!(signed_up.status(), StatusCode::CREATED);
    assert_eq!(signed_up.headers()["x-server"], "app-9");
    let ada = client.sign_in("ada", "a long password").await;
    let picture = minigram::up::seed::paint(0).unwrap().jpeg;
    let posted = ada.send(Method::POST, "/api/v1/photos?caption=One", |request| request.body(picture)).await;
    assert_eq!(posted.status(), StatusCode::CREATED);
    let posted: Value = posted.json().await.unwrap();
    let (author, photo) = (posted["author"]["id"].as_str().unwrap(), posted["id"].as_str().unwrap());
    let small = format!("/media/{author}/{photo}/small.jpg");
    eventually("the worker makes the thumbnails", || async {
        (ada.get(&small).await.status() == StatusCode::OK).then_some(())
    })
    .await;
    assert!(worker.ends());
    assert!(server.ends());
}

#[test]
fn an_unknown_key_is_refused_with_its_line() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("minigram.toml");
    fs::write(&file, SETTINGS.replace("thumbnails", "thumb_nails")).unwrap();
    let output = minigram().args(["worker", "--config"]).arg(&file).output().unwrap();
    assert!(!output.status.success());
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("thumb_nails") && said.contains("line 15"), "{said}");
}
