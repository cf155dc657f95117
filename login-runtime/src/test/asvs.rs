//! A suite for applications: the items of OWASP ASVS 5.0 about logins and sessions, as HTTP scenarios.
//!
//! [`check`] plays them against an application, and returns a table of ids with pass, fail or not
//! applicable, and why. [The guide](crate::guide::asvs) has the table of the ids.
//!
//! The suite logs users in through the form of the application, and needs some [`Facts`] for it. It takes the
//! log of its thread while it plays.
//!
//! # Examples
//!
//! ```
//! use actix_web::{App, HttpResponse, Responder, cookie::Key, get, post, test::init_service, web};
//! use login_runtime::{
//!     Auth, AuthUser, CurrentUser, LoginError, LoginManager, MemoryLoginStore, Verified,
//!     login_required,
//!     test::asvs::{Facts, Outcome, check},
//! };
//!
//! #[derive(AuthUser)]
//! struct User { id: i64 }
//!
//! #[derive(serde::Deserialize)]
//! struct Form { name: String, password: String }
//!
//! #[post("/login")]
//! async fn log_in(auth: Auth<User>, form: web::Form<Form>) -> Result<HttpResponse, LoginError> {
//!     // An application verifies the password with a `PasswordVerifier`.
//!     if form.name != "ada" || form.password != "difference engine" {
//!         return Ok(HttpResponse::Unauthorized().body("Wrong name or password."));
//!     }
//!     auth.log_in(Verified::trust(User { id: 1 }, "example")).await?;
//!     Ok(auth.redirect_to_next_or("/account"))
//! }
//!
//! #[post("/logout")]
//! async fn log_out(auth: Auth<User>) -> Result<HttpResponse, LoginError> {
//!     // Wrong: this forgets `auth.log_out().await?`.
//!     Ok(HttpResponse::NoContent().finish())
//! }
//!
//! #[login_required]
//! #[get("/account")]
//! async fn account(user: CurrentUser<User>) -> impl Responder { "account" }
//!
//! # #[actix_web::main]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let login_manager = LoginManager::builder(|id| async move { Ok::<_, String>(Some(User { id })) })
//!     .login_store(MemoryLoginStore::new())
//!     .login_view("/login")
//!     .build(Key::generate())?;
//! let app = App::new().wrap(login_manager).service((log_in, log_out, account));
//! let app = init_service(app).await;
//!
//! let report = check(&app, Facts::new("/login", "/account").user("ada", "difference engine")).await;
//! assert_eq!(report.row("7.2.4").unwrap().outcome, Outcome::Pass, "{report}");
//! // The session still works after the log out.
//! assert_eq!(report.row("7.4.1").unwrap().outcome, Outcome::Fail, "{report}");
//! # Ok(())
//! # }
//! ```

pub use self::{
    facts::Facts,
    report::{Outcome, Report, Row},
    suite::{check, table},
};

mod checks;
mod crossing;
mod facts;
mod guessing;
mod log;
mod play;
mod report;
mod suite;
mod written;
