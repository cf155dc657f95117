//! A Chromium without a window, driven through chromedriver.

use std::{
    io::{BufRead as _, BufReader},
    process::{Child, Command, Stdio},
};

use fantoccini::{Client, ClientBuilder, Locator};
use hyper_util::client::legacy::connect::HttpConnector;
use login_tests::skips::{Extent, skip};
use serde_json::json;

/// Starts chromedriver with a directory for its profiles. When standard input ends, also because the
/// test program crashed, it ends its own group of processes and removes the directory.
const SHELL: &str = r#"
trap : TERM
TMPDIR=$(mktemp -d) || exit
export TMPDIR
chromedriver --port=0 </dev/null &
read -r _
kill -s TERM 0
# The signal ends the first wait, too.
wait
wait
# Chromium ends after chromedriver, and writes to its profile until then.
until rm -rf "$TMPDIR"; do sleep 1; done
"#;

/// A browser with a new profile.
#[derive(Debug)]
pub struct Chromium {
    client: Client,
    shell: Child,
    // Chromium writes to it, and ends if it is closed.
    _output: Output,
}

type Output = std::io::Lines<BufReader<std::process::ChildStdout>>;

impl Chromium {
    /// Starts a browser. `None` if it is not installed: the test is skipped then.
    pub async fn start() -> Option<Self> {
        let installed = ["chromium", "chromedriver"].map(|program| {
            let version = Command::new(program).arg("--version").output();
            version.is_ok_and(|version| version.status.success())
        });
        if installed != [true; 2] {
            let why = "Chromium was not found (Debian packages: chromium, chromium-driver)";
            skip(Extent::All, why);
            return None;
        }
        let mut shell = Command::new("sh");
        #[cfg(unix)]
        std::os::unix::process::CommandExt::process_group(&mut shell, 0);
        let shell = shell.args(["-c", SHELL]);
        let mut shell = shell
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("there is a shell");
        let mut output = BufReader::new(shell.stdout.take().expect("it is piped")).lines();
        let started = output.by_ref().map_while(Result::ok).find_map(|line| {
            let port = line.strip_prefix("ChromeDriver was started successfully on port ")?;
            port.trim_end_matches('.').parse::<u16>().ok()
        });
        let driver = format!(
            "http://127.0.0.1:{}",
            started.expect("chromedriver says its port")
        );
        let options = json!({
            "args": [
                "--headless=new",
                // The tests may run as root, where Chromium has no sandbox. It opens only our own pages.
                "--no-sandbox",
                "--disable-dev-shm-usage",
                "--disable-background-networking",
                "--disable-component-update",
                "--disable-sync",
                "--no-first-run",
                // `localhost` and hosts below it are this machine; no other host can be reached. Chromium
                // takes them for secure, so it accepts `Secure` cookies there over http.
                "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE localhost, EXCLUDE *.localhost",
            ]
        });
        let mut capabilities = serde_json::Map::new();
        capabilities.insert("goog:chromeOptions".to_owned(), options);
        let mut builder = ClientBuilder::new(HttpConnector::new());
        let client = builder.capabilities(capabilities).connect(&driver).await;
        let client = client.expect("Chromium can be started");
        Some(Self {
            client,
            shell,
            _output: output,
        })
    }

    /// Opens a page and follows redirects.
    pub async fn open(&self, url: &str) {
        self.client.goto(url).await.expect("the page opens");
    }

    /// The address of the page that is shown.
    pub async fn path(&self) -> String {
        let url = self.client.current_url().await.expect("a page is shown");
        url[url::Position::BeforePath..].to_owned()
    }

    /// The text of the page that is shown.
    pub async fn text(&self) -> String {
        // A script, because an element that was found may belong to the page before.
        let script = "return document.body.innerText.trim()";
        let text = self.client.execute(script, Vec::new()).await;
        let text = text.expect("a page is shown");
        text.as_str().expect("it has text").to_owned()
    }

    /// Presses the only button of the page. The next page has to be waited for.
    pub async fn press(&self) {
        let button = self.client.find(Locator::Css("button")).await;
        button
            .expect("there is a button")
            .click()
            .await
            .expect("it can be pressed");
    }

    /// Waits until the page has this element.
    pub async fn wait_for(&self, css: &str) {
        let wait = self.client.wait().for_element(Locator::Css(css));
        if wait.await.is_err() {
            let source = self.client.source().await;
            panic!("no `{css}` at {}: {source:?}", self.path().await);
        }
    }

    /// The cookies that scripts on this page do not see, too: name and value.
    pub async fn cookies(&self) -> Vec<(String, String)> {
        let cookies = self
            .client
            .get_all_cookies()
            .await
            .expect("a page is shown");
        let pairs = cookies
            .iter()
            .map(|cookie| (cookie.name().to_owned(), cookie.value().to_owned()));
        pairs.collect()
    }

    /// Closes the browser.
    pub async fn close(self) {
        let _ = self.client.clone().close().await;
    }
}

impl Drop for Chromium {
    fn drop(&mut self) {
        drop(self.shell.stdin.take());
        let _ = self.shell.wait();
    }
}
