//! Small crates that show what the reader of imports and the checks on it find.

use super::{
    imports::{Files, Root, read},
    order, pure,
};

const LIB: [Root<'static>; 1] = [Root {
    file: "lib.rs",
    name: Some("example"),
}];

type Sources<'a> = &'a [(&'a str, &'a str)];

fn files(sources: Sources<'_>) -> Files {
    let owned = |(path, source): &(&str, &str)| ((*path).to_owned(), (*source).to_owned());
    sources.iter().map(owned).collect()
}

/// The imports of all files but `lib.rs`, as `file:line target`.
fn imports(sources: Sources<'_>) -> Vec<String> {
    let reading = read(&files(sources), &LIB).unwrap();
    assert!(reading.undeclared.is_empty(), "{reading:?}");
    reading
        .imports
        .iter()
        .filter(|import| import.file != "lib.rs")
        .map(|import| format!("{}:{} {}", import.file, import.line, import.target))
        .collect()
}

/// What `a.rs` imports in a crate with `b.rs`, `c.rs` and, behind a face, `d/e.rs` and `d/f.rs`.
fn imports_of(source: &str) -> Vec<String> {
    let all = imports(&[
        (
            "lib.rs",
            "mod a; mod b; mod c; mod d; mod g;\
             pub use crate::{b::{B, make}, d::E as Renamed}; pub struct Own;",
        ),
        ("a.rs", source),
        (
            "b.rs",
            "pub struct B; pub fn make() {} pub const ONE: u8 = 1; pub mod inner { pub struct In; }",
        ),
        ("c.rs", "pub enum C { One } pub trait Trait {}"),
        (
            "d/mod.rs",
            "//! A face.\n mod e; mod f; pub use self::e::E; pub(crate) use f::*;",
        ),
        ("d/e.rs", "pub struct E;"),
        ("d/f.rs", "pub fn f() {}"),
        // Not a face.
        ("g.rs", "pub use crate::b::B; pub mod h; pub fn g() {}"),
        ("g/h.rs", "pub struct H;"),
    ]);
    let own = all.iter().filter_map(|line| line.strip_prefix("a.rs:"));
    own.map(str::to_owned).collect()
}

#[test]
fn every_form_of_an_import_is_read() {
    let table: &[(&str, &[&str])] = &[
        // `use` declarations.
        ("use crate::b::B;", &["1 b.rs"]),
        ("pub use crate::b::B;", &["1 b.rs"]),
        ("pub(crate) use crate::b::B as Other;", &["1 b.rs"]),
        ("use crate::c::Trait as _;", &["1 c.rs"]),
        ("use super::b::*;", &["1 b.rs"]),
        ("use crate::b;", &["1 b.rs"]),
        (
            "use crate::{\n b::{self, B},\n c::C,\n};",
            &["2 b.rs", "3 c.rs"],
        ),
        (
            "use crate::{b::{inner::In, make}, c::C::*};",
            &["1 b.rs", "1 c.rs"],
        ),
        ("use super::{b::B, super::x::Y};", &["1 b.rs"]),
        ("fn f() {\n use crate::b::B;\n let _ = B;\n}", &["2 b.rs"]),
        (
            "impl X {\n fn f() { if x {\n use super::c::C; } } }",
            &["3 c.rs"],
        ),
        ("use std::fmt; use serde::Serialize; use ::b::B;", &[]),
        (
            "use example::b::B; use ::example::c::C;",
            &["1 b.rs", "1 c.rs"],
        ),
        // Paths in code.
        ("fn f() { crate::b::make() }", &["1 b.rs"]),
        (
            "fn f() -> Vec<super::c::C> { Vec::<super::b::B>::new() }",
            &["1 b.rs", "1 c.rs"],
        ),
        ("impl crate::c::Trait for X {}", &["1 c.rs"]),
        (
            "struct X(crate::b::B, pub(crate) u8, pub (crate::c::C));",
            &["1 b.rs", "1 c.rs"],
        ),
        (
            "const X: u8 = <u8 as crate::c::Trait>::b::ONE;",
            &["1 c.rs"],
        ),
        (
            "const X: u8 = <u8 as crate::c::Trait>::example::b::ONE;",
            &["1 c.rs"],
        ),
        (
            "#[cfg_attr(x, derive(crate::c::Trait))] struct X;",
            &["1 c.rs"],
        ),
        (
            "#[serde(with = \"crate::b::inner\")] struct X;",
            &["1 b.rs"],
        ),
        ("use crate::b;\nfn f() { b::make() }", &["1 b.rs", "2 b.rs"]),
        // The type was imported by the `use`.
        ("use crate::c::C;\nfn f() { C::One; }", &["1 c.rs"]),
        (
            "fn f() { String::new(); u8::MAX; T::b(); self.b::<u8>(); }",
            &[],
        ),
        ("struct X { b: u8, c: ::std::string::String }", &[]),
        // Comments, strings, restrictions and lifetimes are no imports.
        (
            "//! [`crate::b::B`]\n/// [`crate::c::C`]\nfn f() { \"crate::b::B\"; }",
            &[],
        ),
        ("pub(in crate::b) fn f<'b>() -> impl X + use<'b> {}", &[]),
        // Modules in the file.
        ("mod m {\n use super::super::b::B;\n}", &["2 b.rs"]),
        (
            "mod m { mod n {\n use super::super::super::c::C; } }",
            &["2 c.rs"],
        ),
        (
            "struct X; mod m { use super::X; use super::*; fn f() { self::g(); } }",
            &[],
        ),
        (
            "use crate::b;\nmod m {\n use super::*;\n fn f() { b::make() } }",
            &["1 b.rs", "4 b.rs"],
        ),
        ("mod b { pub fn x() {} } fn f() { b::x() }", &[]),
        (
            "fn f() { mod m {\n pub use super::super::c::C; } m::C::One; }",
            &["2 c.rs"],
        ),
        // Macros.
        (
            "macro_rules! m { ($x:ident) => {\n $crate::b::make(); $x::b::make(); } }",
            &["2 b.rs"],
        ),
        (
            "macro_rules! m { () => {\n use $crate::{b::B, c::C}; } }",
            &["2 b.rs", "2 c.rs"],
        ),
        (
            "m!(a => crate::b::B, [crate::c::C]);",
            &["1 b.rs", "1 c.rs"],
        ),
        (
            "use super::b; fn f() {\n println!(\"{}\", b::ONE) }",
            &["1 b.rs", "2 b.rs"],
        ),
        ("fn f() { quote! { crate::b::B #b::X } }", &[]),
        (
            "fn f() { quote::quote_spanned! { crate::c::span() => crate::b::B } }",
            &["1 c.rs"],
        ),
        // Through faces and the root.
        ("use crate::d::E;", &["1 d/e.rs"]),
        ("use crate::d::f;", &["1 d/f.rs"]),
        (
            "use crate::d;\nfn x() { d::f(); d::E::x() }",
            &["2 d/e.rs", "2 d/f.rs"],
        ),
        ("use crate::d::*;", &["1 d/e.rs", "1 d/f.rs"]),
        ("use crate::Renamed;", &["1 d/e.rs"]),
        (
            "fn f() { crate::make(); super::Own }",
            &["1 b.rs", "1 lib.rs"],
        ),
        // A name that only a macro can have defined.
        ("use crate::d::e::Unknown;", &["1 d/e.rs"]),
        // `g.rs` is no face.
        ("use crate::g::B;", &["1 g.rs"]),
        ("use crate::g::h::H;", &["1 g/h.rs"]),
        // Tests.
        ("#[cfg(test)] mod tests { use crate::b::B; }", &[]),
        (
            "#[test] #[cfg(all(test, unix))] pub(crate) fn f<A, B>() { crate::b::make() }",
            &[],
        ),
        (
            "#[cfg(test)] use crate::b::{B};\nuse crate::c::C;",
            &["2 c.rs"],
        ),
        (
            "struct X {\n #[cfg(test)] b: crate::b::B,\n c: crate::c::C }",
            &["3 c.rs"],
        ),
        (
            "#[cfg(test)] const fn f<A, B>() { crate::c::f() }\nfn g() { crate::b::make() }",
            &["2 b.rs"],
        ),
        (
            "fn f() { #[cfg(test)] let x = X { y: 1 }.z(crate::b::B); }",
            &[],
        ),
        ("#[cfg(not(test))] use crate::b::B;", &["1 b.rs"]),
        ("#[cfg(any(test, unix))] use crate::b::B;", &["1 b.rs"]),
    ];
    for (source, expected) in table {
        assert_eq!(imports_of(source), *expected, "{source}");
    }
}

#[test]
fn files_are_found_as_the_compiler_finds_them() {
    let found = imports(&[
        ("lib.rs", "#[path = \"hidden.rs\"] pub mod __hidden; mod a;"),
        ("hidden.rs", "use crate::a::b::c::C;"),
        ("a.rs", "pub mod b; m! { mod d; }"),
        ("a/b/mod.rs", "pub mod c { pub mod e; pub struct C; }"),
        ("a/b/c/e.rs", "use super::super::super::d::D; use super::C;"),
        ("a/d.rs", "pub struct D; use crate::__hidden::X;"),
    ]);
    let expected = [
        "a/b/c/e.rs:1 a/b/mod.rs",
        "a/b/c/e.rs:1 a/d.rs",
        "a/d.rs:1 hidden.rs",
        "hidden.rs:1 a/b/mod.rs",
    ];
    assert_eq!(found, expected);
}

#[test]
fn a_child_imports_its_parent_only_if_that_is_no_face() {
    let child = "use super::{X, other::Y};";
    let other = "pub struct Y; pub struct X;";
    let face = "mod child; mod other; use other::X;";
    let with = |parent: &str| {
        imports(&[
            ("lib.rs", "mod p;"),
            ("p/mod.rs", parent),
            ("p/child.rs", child),
            ("p/other.rs", other),
        ])
    };
    let face_alone = ["p/child.rs:1 p/other.rs", "p/mod.rs:1 p/other.rs"];
    assert_eq!(with(face), face_alone);
    let found = with(&format!("{face} fn code() {{}}"));
    let expected = [
        "p/child.rs:1 p/mod.rs",
        "p/child.rs:1 p/other.rs",
        "p/mod.rs:1 p/other.rs",
    ];
    assert_eq!(found, expected);
}

#[test]
fn a_function_that_has_the_name_of_a_module_does_not_hide_it() {
    let module = "mod s; mod a;";
    let twins = [
        format!("{module} pub fn s() {{}}"),
        format!("{module} pub use crate::s::s;"),
    ];
    for root in &twins {
        let found = imports(&[
            ("lib.rs", root),
            ("s.rs", "pub fn s() {} pub struct X;"),
            ("a.rs", "use crate::s::X;"),
        ]);
        assert_eq!(found, ["a.rs:1 s.rs"], "{root}");
    }
}

#[test]
fn a_macro_without_a_path_leads_to_its_file() {
    let found = imports(&[
        ("lib.rs", "#[macro_use] mod a; mod b;"),
        ("a.rs", "macro_rules! ours { () => {} }"),
        (
            "b.rs",
            "ours!();\n println!();\n fn f(ours: bool) { if !ours {} }",
        ),
    ]);
    assert_eq!(found, ["b.rs:1 a.rs"]);
}

#[test]
fn names_that_lead_in_a_circle_come_to_an_end() {
    let found = imports(&[
        (
            "lib.rs",
            "mod a; mod b; pub use a::*; pub use b::*; pub use crate::x::x;",
        ),
        (
            "a.rs",
            "pub use crate::b::*; use crate::x::y; mod z { pub use super::z::z; }",
        ),
        ("b.rs", "pub use crate::a::*; pub use crate::X;"),
    ]);
    assert!(found.contains(&"a.rs:1 b.rs".to_owned()), "{found:?}");
    assert!(found.contains(&"b.rs:1 a.rs".to_owned()), "{found:?}");
}

#[test]
fn a_file_that_cannot_be_read_is_an_error() {
    let error = read(&files(&[("lib.rs", "fn f( {}")]), &LIB).unwrap_err();
    assert!(error.starts_with("lib.rs: "), "{error}");
    assert!(read(&files(&[]), &LIB).is_err());
}

/// A crate in three layers, and its list.
const GOOD: Sources<'static> = &[
    (
        "lib.rs",
        "mod clock; mod core; mod store; mod top; pub use crate::{top::Top, store::Store};",
    ),
    (
        "top.rs",
        "use crate::store::Store; pub struct Top(Store, crate::core::Core);",
    ),
    (
        "store/mod.rs",
        "mod deadline; mod records; pub use self::records::Store; #[cfg(test)] mod tests;",
    ),
    (
        "store/records.rs",
        "use super::deadline::D; use crate::core::Core; pub struct Store;",
    ),
    ("store/deadline.rs", "pub struct D;"),
    ("store/tests.rs", "use crate::top::Top;"),
    (
        "core/mod.rs",
        "mod user; pub use self::user::Core; #[cfg(test)] mod tests { async fn f() { crate::top::x() } }",
    ),
    (
        "core/user.rs",
        "use std::{fmt, net::IpAddr, time::Duration}; pub struct Core(IpAddr);",
    ),
    ("clock.rs", "use std::time::SystemTime;"),
];
const ORDER: &[&str] = &[
    "lib.rs",
    "top.rs",
    "store/records.rs",
    "store/",
    "core/",
    "clock.rs",
];

/// The good crate with some files replaced or added.
fn changed(changes: Sources<'_>) -> Files {
    let mut changed = files(GOOD);
    changed.extend(files(changes));
    changed
}

fn breaches(changes: Sources<'_>) -> Vec<String> {
    order::breaches("src", &changed(changes), &LIB, ORDER)
}

#[test]
fn a_crate_in_order_is_accepted() {
    assert_eq!(breaches(&[]), [""; 0]);
    // A face needs no entry: the whole folder can be listed file by file.
    let files_only = [
        "lib.rs",
        "top.rs",
        "store/records.rs",
        "store/deadline.rs",
        "core/",
        "clock.rs",
    ];
    let found = order::breaches("src", &changed(&[]), &LIB, &files_only);
    assert_eq!(found, [""; 0]);
}

#[test]
fn an_import_up_the_list_is_a_breach() {
    let found = breaches(&[("clock.rs", "//! Time.\n\nfn f() { crate::core::Core }")]);
    assert_eq!(
        found,
        ["src/clock.rs:3: imports core/user.rs, which is above it"]
    );
    // A file of a folder that is listed below the folder itself.
    let order = [
        "lib.rs",
        "top.rs",
        "store/",
        "store/deadline.rs",
        "core/",
        "clock.rs",
    ];
    assert_eq!(order::breaches("src", &changed(&[]), &LIB, &order), [""; 0]);
    let upward: Sources<'_> = &[
        ("store/deadline.rs", "use super::records::X;"),
        ("store/records.rs", "pub struct Store; pub struct X;"),
    ];
    let found = order::breaches("src", &changed(upward), &LIB, &order);
    assert_eq!(
        found,
        ["src/store/deadline.rs:1: imports store/records.rs, which is above it"]
    );
    // Within a folder, too, and from a face.
    let found = breaches(&[
        ("store/deadline.rs", "use super::records::X;"),
        ("store/records.rs", "pub struct Store; pub struct X;"),
    ]);
    assert_eq!(
        found,
        ["src/store/deadline.rs:1: imports store/records.rs, which is above it"]
    );
    let found = breaches(&[(
        "core/mod.rs",
        "mod user; pub use self::user::Core; pub use crate::store::Store;",
    )]);
    assert!(
        found
            .contains(&"src/core/mod.rs:1: imports store/records.rs, which is above it".to_owned()),
        "{found:?}"
    );
}

#[test]
fn a_circle_is_a_breach_even_within_a_folder() {
    let circle: Sources<'_> = &[
        (
            "core/mod.rs",
            "mod user; mod a; mod b; pub use self::user::Core;",
        ),
        ("core/a.rs", "\nuse super::b::B; pub struct A;"),
        ("core/b.rs", "use super::user::Core; pub struct B;"),
        ("core/user.rs", "pub struct Core(super::a::A);"),
    ];
    let expected = "src/core/a.rs:2: imports core/b.rs, and a circle leads back: core/a.rs -> \
                    core/b.rs -> core/user.rs -> core/a.rs; 3 files import each other: core/a.rs, \
                    core/b.rs, core/user.rs";
    assert_eq!(breaches(circle), [expected]);
}

#[test]
fn a_parent_that_holds_code_is_in_a_circle_with_a_child_that_imports_it() {
    let parent: Sources<'_> = &[
        (
            "store/mod.rs",
            "mod deadline; mod records; pub use self::records::Store; pub struct Own;\
             #[cfg(test)] mod tests;",
        ),
        ("store/deadline.rs", "pub struct D;"),
        ("store/records.rs", "use super::Own; pub struct Store;"),
    ];
    let found = breaches(parent);
    assert_eq!(found.len(), 2, "{found:?}");
    assert!(
        found[0].contains("imports store/records.rs, which is above it"),
        "{found:?}"
    );
    assert!(found[1].contains("2 files import each other"), "{found:?}");
}

#[test]
fn files_and_entries_without_each_other_are_breaches() {
    let new: Sources<'_> = &[
        (
            "lib.rs",
            "mod clock; mod core; mod new; mod store; mod top;",
        ),
        ("new.rs", ""),
        ("forgotten.rs", ""),
    ];
    let expected = [
        "src/new.rs:1: is not in the list",
        "src/forgotten.rs:1: no `mod` line declares this file",
    ];
    assert_eq!(breaches(new), expected);
    let found = order::breaches(
        "src",
        &changed(&[]),
        &LIB,
        &[ORDER, &["gone/", "top"]].concat(),
    );
    let expected = [
        "src: no file belongs to the entry `gone/`",
        "src: no file belongs to the entry `top`",
    ];
    assert_eq!(found, expected);
}

#[test]
fn a_face_that_imports_from_other_folders_needs_an_entry() {
    let order = [
        "lib.rs",
        "top.rs",
        "store/records.rs",
        "store/deadline.rs",
        "core/",
        "clock.rs",
    ];
    let face: Sources<'_> = &[(
        "store/mod.rs",
        "mod deadline; mod records; pub use self::records::Store; use crate::core::Core;\
         #[cfg(test)] mod tests;",
    )];
    let found = order::breaches("src", &changed(face), &LIB, &order);
    assert_eq!(found, ["src/store/mod.rs:1: is not in the list"]);
}

#[test]
fn a_pure_folder_imports_nothing_that_acts() {
    let impure = |source: &str| {
        let user = format!("pub struct Core;\n{source}");
        pure::breaches("src", &changed(&[("core/user.rs", &user)]), &LIB, "core/")
    };
    let table: &[(&str, &[&str])] = &[
        ("use std::{fmt, net::IpAddr, time::Duration};", &[]),
        (
            "use serde::Serialize; use sha2::{Digest, Sha256}; fn rand() {}",
            &[],
        ),
        (
            "#[cfg(test)] mod tests { use std::fs; async fn f() {} }",
            &[],
        ),
        ("use actix_web::HttpRequest;", &["actix_web::HttpRequest"]),
        (
            "fn f() { actix_web::rt::spawn(()) }",
            &["actix_web::rt::spawn"],
        ),
        (
            "use tokio::{sync::Mutex, time};",
            &["tokio::sync::Mutex", "tokio::time"],
        ),
        ("fn f() { tracing::info!(\"\") }", &["tracing::info"]),
        ("use rand::Rng;", &["rand::Rng"]),
        ("fn f() { getrandom::fill(&mut []) }", &["getrandom::fill"]),
        ("fn f() { std::time::SystemTime::now() }", &["SystemTime"]),
        ("use std::time::*; fn f() { Instant::now() }", &["Instant"]),
        ("async fn f() { x.await }", &["async", "await"]),
        (
            "use std::{env, fs::{self, File}};",
            &["std::env", "std::fs", "std::fs::File"],
        ),
        (
            "use std::env;\nfn f() { env::var(\"A\") }",
            &["std::env", "std::env::var"],
        ),
        (
            "use std::net::{self, IpAddr};\nfn f() { net::TcpStream::connect() }",
            &["std::net::TcpStream::connect"],
        ),
        ("fn f() { core::net::UdpSocket }", &["core::net::UdpSocket"]),
        ("use crate::clock::now;", &["clock.rs"]),
        ("fn f() { crate::store::Store }", &["store/records.rs"]),
    ];
    for (source, expected) in table {
        let named = impure(source);
        let named: Vec<_> = named
            .iter()
            .map(|line| line.split_once(": names ").unwrap().1)
            .collect();
        assert_eq!(named, *expected, "{source}");
    }
    let found = impure("\nuse actix_web::HttpRequest;");
    assert_eq!(found, ["src/core/user.rs:3: names actix_web::HttpRequest"]);
    let found = pure::breaches("src", &changed(&[]), &LIB, "cor/");
    assert_eq!(found, ["src: no file is in `cor/`"]);
}
