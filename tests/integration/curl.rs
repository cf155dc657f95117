//! Requests that curl sends, with the cookies that curl keeps.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use actix_web::http::header::{HeaderMap, HeaderName, HeaderValue};
use login_runtime::test::strict::assert_kept;
use login_tests::{
    services::unique,
    skips::{Extent, skip},
};

/// Notes that the test is skipped if curl is not installed.
pub fn is_missing() -> bool {
    let missing = Command::new("curl").arg("--version").output().is_err();
    if missing {
        skip(Extent::All, "curl was not found (Debian package: curl)");
    }
    missing
}

/// A response, as curl prints it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Response {
    /// The status code.
    pub status: u16,
    /// The lines of the header section.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: String,
}

impl Response {
    /// The first header with this name in lower case.
    pub fn header(&self, name: &str) -> Option<&str> {
        let mut headers = self.headers.iter();
        let found = headers.find(|(header, _)| header == name);
        found.map(|(_, value)| value.as_str())
    }

    /// The raw `name=value` of each cookie that is set.
    pub fn set_cookies(&self) -> impl Iterator<Item = &str> {
        let headers = self.headers.iter();
        let cookies = headers.filter(|(name, _)| name == "set-cookie");
        cookies.filter_map(|(_, value)| value.split(';').next())
    }
}

/// One browser: a file of cookies that curl reads and writes.
#[derive(Debug)]
pub struct Jar(PathBuf);

impl Default for Jar {
    fn default() -> Self {
        let name = format!("{}.cookies", unique("login_tests_curl"));
        Self(std::env::temp_dir().join(name))
    }
}

impl Jar {
    /// A copy of all cookies, for somebody who stole them.
    pub fn stolen(&self) -> Self {
        let copy = Self::default();
        fs::copy(&self.0, &copy.0).expect("curl has written the file");
        copy
    }

    /// Removes the cookies that a browser deletes when it is closed.
    pub fn close_browser(&self) {
        self.keep(|fields| fields.get(4) != Some(&"0"));
    }

    /// Removes a cookie.
    pub fn remove(&self, name: &str) {
        self.keep(|fields| fields.get(5) != Some(&name));
    }

    /// Keeps the cookies for whose fields the function is true: domain, subdomains, path, secure,
    /// expiry, name, value.
    fn keep(&self, keep: impl Fn(&[&str]) -> bool) {
        let text = fs::read_to_string(&self.0).expect("curl has written the file");
        let lines = text.lines().filter(|line| {
            let fields: Vec<_> = line.split('\t').collect();
            fields.len() < 7 || keep(&fields)
        });
        let kept: String = lines.map(|line| format!("{line}\n")).collect();
        fs::write(&self.0, kept).expect("the file is ours");
    }

    /// The value of a cookie.
    pub fn cookie(&self, name: &str) -> Option<String> {
        let text = fs::read_to_string(&self.0).ok()?;
        let mut cookies = text
            .lines()
            .map(|line| line.split('\t').collect::<Vec<_>>());
        let found = cookies.find(|fields| fields.get(5) == Some(&name))?;
        found.get(6).map(|value| (*value).to_owned())
    }

    /// `GET`, as a program sends it.
    pub fn get(&self, url: &str) -> Response {
        self.send(&["-H", "accept: application/json", url])
    }

    /// `GET`, as a browser asks for a page.
    pub fn browse(&self, url: &str) -> Response {
        let accept = "accept: text/html,application/xhtml+xml,*/*;q=0.8";
        let mode = "sec-fetch-mode: navigate";
        let destination = "sec-fetch-dest: document";
        self.send(&["-H", accept, "-H", mode, "-H", destination, url])
    }

    /// `POST` with the fields of a form.
    pub fn post(&self, url: &str, fields: &[(&str, &str)]) -> Response {
        let fields: Vec<_> = fields
            .iter()
            .map(|(name, value)| format!("{name}={value}"))
            .collect();
        let mut arguments = vec!["-X", "POST", url];
        for field in &fields {
            arguments.extend(["--data-urlencode", field]);
        }
        self.send(&arguments)
    }

    /// Runs curl with these arguments.
    pub fn send(&self, arguments: &[&str]) -> Response {
        let mut curl = curl();
        curl.arg("--cookie")
            .arg(&self.0)
            .arg("--cookie-jar")
            .arg(&self.0);
        run(curl.args(arguments))
    }
}

impl Drop for Jar {
    fn drop(&mut self) {
        let _ = fs::remove_file(Path::new(&self.0));
    }
}

/// Sends exactly these cookies and keeps none.
pub fn send_cookies(url: &str, cookies: &str) -> Response {
    let header = format!("cookie: {cookies}");
    let mut curl = curl();
    run(curl.args(["-H", &header, url]))
}

/// Without the user's own configuration file, never through a proxy, and with the headers of the response.
fn curl() -> Command {
    let mut curl = Command::new("curl");
    curl.args(["-q", "--noproxy", "*", "--silent", "--show-error"]);
    curl.args(["--max-time", "60", "--include"]);
    curl
}

fn run(curl: &mut Command) -> Response {
    let output = curl.output().expect("curl can be run");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let error = String::from_utf8_lossy(&output.stderr).into_owned();
    let (head, body) = text
        .split_once("\r\n\r\n")
        .unwrap_or_else(|| panic!("no response: {error}"));
    let mut lines = head.split("\r\n");
    let status = lines.next().and_then(|line| line.split(' ').nth(1));
    let headers = lines.filter_map(|line| line.split_once(": "));
    let response = Response {
        status: status
            .and_then(|status| status.parse().ok())
            .expect("a status line"),
        headers: headers
            .map(|(name, value)| (name.to_lowercase(), value.to_owned()))
            .collect(),
        body: body.to_owned(),
    };
    judge(&response);
    response
}

/// Fails the test at an answer that breaks a rule which the test does not tolerate.
fn judge(response: &Response) {
    let mut headers = HeaderMap::new();
    for (name, value) in &response.headers {
        let name = HeaderName::try_from(name.as_str()).expect("the name of a header");
        let value = HeaderValue::from_str(value).expect("the value of a header");
        headers.append(name, value);
    }
    assert_kept(response.status, &headers);
}
