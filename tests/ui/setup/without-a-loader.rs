use actix_web::cookie::Key;
use login_runtime::LoginManager;

fn main() {
    let _ = LoginManager::builder().login_view("/login").build(Key::generate());
}
