//! Whatever cookies surround it, a session cookie counts only if its name was sent byte for byte: once, if its
//! name starts with `__Host-`, and otherwise the first that opens.

use actix_web::{http::header::COOKIE, test::TestRequest};
use percent_encoding::percent_decode;

use crate::{
    input::header,
    site::{ADA, BEN, NOW, Site, key, manager, shown},
};

struct Named {
    site: Site,
    name: &'static str,
    /// The session cookies of ada and ben.
    values: [String; 2],
}

impl Named {
    fn new(name: &'static str, is_secure: bool) -> Self {
        let mut manager = manager().session_only();
        if !is_secure {
            manager = manager.danger_insecure_cookies();
        }
        let site = Site::new(manager.build(key()).expect("valid settings"), |_| {});
        let values = [ADA, BEN].map(|id| {
            let request = TestRequest::post()
                .uri(&format!("/login/{id}"))
                .to_request();
            site.ask(request)
                .cookie(name)
                .expect("a session cookie")
                .to_owned()
        });
        Self { site, name, values }
    }

    /// Replaces some bytes by what is worth trying: whole cookies, names, and disguises of names.
    fn expand(&self, line: &[u8]) -> Vec<u8> {
        let (name, [ada, ben]) = (self.name, &self.values);
        let mut header = Vec::new();
        for byte in line {
            match byte {
                0x80 => header.extend(format!("{name}={ada}").bytes()),
                0x81 => header.extend(format!("{name}={ben}").bytes()),
                0x82 => header.extend(name.bytes()),
                0x83 => header.extend(ada.bytes()),
                0x84 => header.extend(ben.bytes()),
                0x85 => header.extend(b"; "),
                0x86 => header.extend(format!("%{:02X}", name.as_bytes()[0]).bytes()),
                0x87 => header.extend(&name.as_bytes()[1..]),
                0x88 => header.extend(name.to_uppercase().bytes()),
                0x89 => header.extend("\u{a0}".bytes()),
                0x8a => header.extend("\u{3000}".bytes()),
                0x8b => header.extend(format!("{name}=%22{ada}%22").bytes()),
                0x8c => header.extend(format!("{name}=\"{ada}\"").bytes()),
                0x8d => header.extend(format!("{name}={}", &ada[..ada.len() / 2]).bytes()),
                other => header.push(*other),
            }
        }
        header
    }

    /// Whom the value of a cookie logs in.
    fn opens(&self, value: &[u8]) -> Option<i64> {
        let value = str::from_utf8(value).ok()?.trim();
        let inner = value
            .strip_prefix('"')
            .and_then(|value| value.strip_suffix('"'));
        let plain = |text: &str| percent_decode(text.as_bytes()).collect::<Vec<_>>();
        let sent = plain(inner.unwrap_or(value).trim());
        let [ada, ben] = &self.values;
        [(ada, ADA), (ben, BEN)]
            .into_iter()
            .find_map(|(own, id)| (plain(own) == sent).then_some(id))
    }

    /// Whom these `Cookie` headers log in.
    fn model(&self, headers: &[Vec<u8>]) -> Option<i64> {
        let mut own = Vec::new();
        for header in headers {
            for (nth, pair) in header.split(|byte| *byte == b';').enumerate() {
                // One space belongs to the separator.
                let pair = pair.strip_prefix(b" ").filter(|_| nth > 0).unwrap_or(pair);
                let value = pair.strip_prefix(self.name.as_bytes());
                let value = value.and_then(|rest| rest.strip_prefix(b"="));
                own.extend(value.filter(|_| str::from_utf8(pair).is_ok()));
            }
        }
        match &own[..] {
            [value] => self.opens(value),
            // A browser never sends two cookies of such a name.
            [_, _, ..] if self.name.starts_with("__Host-") => None,
            values => values.iter().find_map(|value| self.opens(value)),
        }
    }

    fn check(&self, data: &[u8]) {
        let lines = data.split(|byte| *byte == 0xff);
        let headers: Vec<_> = lines.take(4).map(|line| self.expand(line)).collect();
        let mut request = TestRequest::get().uri("/me");
        let mut sent = Vec::new();
        for line in headers {
            if let Some(value) = header(&line) {
                request = request.append_header((COOKIE, value));
                sent.push(line);
            }
        }
        let answer = self.site.ask(request.to_request());
        let expected = self.model(&sent);
        let expected = expected.map_or("-".to_owned(), |id| shown(id, true, NOW));
        assert_eq!(
            answer.body,
            expected,
            "{:?}",
            sent.iter()
                .map(|line| String::from_utf8_lossy(line))
                .collect::<Vec<_>>()
        );
    }
}

thread_local! {
    static FOR_HOST: Named = Named::new("__Host-session", true);
    static PLAIN: Named = Named::new("session", false);
}

pub fn check(data: &[u8]) {
    FOR_HOST.with(|named| named.check(data));
    PLAIN.with(|named| named.check(data));
}
