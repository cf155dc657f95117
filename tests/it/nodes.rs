//! Two processes of one application, which have nothing in common but their secret and their login
//! store.

use std::{
    future::{Ready, ready},
    io::{BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpStream},
    process::{Child, Command, Stdio},
    task::{Context, Poll},
    time::Duration,
};

use actix_web::{
    Error, HttpResponse,
    body::BoxBody,
    dev::{Service, ServiceResponse},
    http::StatusCode,
    test::TestRequest,
};
use login_runtime::test::{Browser, Request};

/// A process of the application; ended with its input.
struct Node {
    process: Child,
    address: SocketAddr,
}

impl Node {
    fn start(store: &str, realm: &str) -> Self {
        let mut process = Command::new(env!("CARGO_BIN_EXE_node"))
            .env("LOGIN_STORE", store)
            .env("LOGIN_REALM", realm)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut address = String::new();
        let mut out = BufReader::new(process.stdout.take().unwrap());
        out.read_line(&mut address).unwrap();
        let address = address.trim().parse().expect("the process says where");
        Self { process, address }
    }

    /// Sends a request over a connection of its own.
    fn send(&self, request: &Request) -> HttpResponse {
        let mut connection = TcpStream::connect(self.address).unwrap();
        let patience = Some(Duration::from_secs(30));
        connection.set_read_timeout(patience).unwrap();
        let (method, path) = (request.method(), request.uri());
        let host = self.address;
        let mut text = format!("{method} {path} HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n");
        for (name, value) in &request.head().headers {
            text += &format!("{name}: {}\r\n", value.to_str().unwrap());
        }
        text += "content-length: 0\r\n\r\n";
        connection.write_all(text.as_bytes()).unwrap();
        let mut answer = String::new();
        connection.read_to_string(&mut answer).unwrap();

        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        let mut lines = head.split("\r\n");
        let status = lines.next().unwrap().split(' ').nth(1).unwrap();
        let mut response = HttpResponse::build(StatusCode::from_bytes(status.as_bytes()).unwrap());
        for line in lines {
            response.append_header(line.split_once(": ").unwrap());
        }
        response.body(body.to_owned())
    }
}

/// So that a browser of the tests can stand in front of it.
impl Service<Request> for Node {
    type Response = ServiceResponse<BoxBody>;
    type Error = Error;
    type Future = Ready<Result<Self::Response, Error>>;

    fn poll_ready(&self, _: &mut Context<'_>) -> Poll<Result<(), Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&self, request: Request) -> Self::Future {
        let response = self.send(&request);
        let request = TestRequest::default().to_http_request();
        ready(Ok(ServiceResponse::new(request, response)))
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        drop(self.process.stdin.take());
        let _ = self.process.wait();
    }
}

/// What the account page says, if it does.
async fn account(browser: &Browser<'_, Node>) -> Result<String, u16> {
    let answer = browser.get("/account").await;
    match answer.status() {
        200 => Ok(answer.text()),
        status => Err(status),
    }
}

async fn know_of_each_other(store: &str) {
    let (first, second) = (Node::start(store, "shop"), Node::start(store, "shop"));
    let by = |node: &Node| Ok(format!("ada in {}", node.process.id()));
    assert_ne!(by(&first), by(&second));

    // Logged in on one, known on the other, ended on the first, refused on the second.
    let here = Browser::new(&first);
    assert_eq!(account(&here).await, Err(401));
    assert_eq!(here.post("/login/1").await.status(), 200);
    let there = here.at(&second);
    assert_eq!(account(&here).await, by(&first));
    assert_eq!(account(&there).await, by(&second));
    assert_eq!(here.post("/logout").await.status(), 200);
    assert_eq!(account(&there).await, Err(401));

    // Ended from another browser, at the other process; the remember cookie restores nothing.
    let (phone, laptop) = (Browser::new(&first), Browser::new(&second));
    for browser in [&phone, &laptop] {
        assert_eq!(browser.post("/login/1").await.status(), 200);
    }
    let phone_there = phone.at(&second);
    assert_eq!(laptop.post("/end-others").await.text(), "1");
    assert_eq!(account(&phone).await, Err(401));
    assert_eq!(account(&phone_there).await, Err(401));
    assert_eq!(account(&laptop).await, by(&second));

    // Everybody's logins ended, at the other process.
    let clients = [1, 1, 2].map(|user| (Browser::new(&first), user));
    for (client, user) in &clients {
        assert_eq!(client.post(&format!("/login/{user}")).await.status(), 200);
    }
    assert_eq!(Browser::new(&second).post("/end-all").await.text(), "4");
    for (client, _) in &clients {
        assert_eq!(account(client).await, Err(401));
    }
    assert_eq!(laptop.post("/login/1").await.status(), 200);

    // A process that is gone takes no login with it.
    let kept = laptop.at(&first);
    drop(second);
    assert_eq!(account(&kept).await, by(&first));
}

/// Two applications that call their users the same, with one secret and one store.
async fn know_nothing_of_each_other(store: &str) {
    let (shop, office) = (Node::start(store, "shop"), Node::start(store, "office"));
    let (ada, thief) = (Browser::new(&shop), Browser::new(&office));
    assert_eq!(ada.post("/login/1").await.status(), 200);
    for name in ada.cookie_names() {
        let value = ada.cookie(&name).unwrap();
        thief.set_cookie(&name, &value);
        thief.set_cookie(&name.replace("shop", "office"), &value);
    }
    assert_eq!(account(&thief).await, Err(401));
    // User 1 of the office ends the other logins of user 1: none of them is the shop's.
    let worker = Browser::new(&office);
    assert_eq!(worker.post("/login/1").await.status(), 200);
    assert_eq!(worker.post("/end-others").await.text(), "0");
    let by_the_shop = Ok(format!("ada in {}", shop.process.id()));
    assert_eq!(account(&ada).await, by_the_shop);
}

#[cfg(feature = "redis")]
#[actix_web::test]
async fn two_processes_know_of_each_others_logins_through_redis() {
    // One of the test's own: the processes use the prefix that is the default.
    if let Some(redis) = login_tests::services::Redis::start() {
        know_of_each_other(&redis.url()).await;
        know_nothing_of_each_other(&redis.url()).await;
    }
}

#[cfg(feature = "postgres")]
#[actix_web::test]
async fn two_processes_know_of_each_others_logins_through_postgres() {
    if let Some(postgres) = login_tests::services::postgres() {
        know_of_each_other(&postgres.database()).await;
        know_nothing_of_each_other(&postgres.database()).await;
    }
}
