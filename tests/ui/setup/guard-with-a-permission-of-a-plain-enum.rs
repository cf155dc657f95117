use login_runtime::login_required;

enum Level {
    High,
}

fn main() {
    let _ = login_required().permission(Level::High);
}
