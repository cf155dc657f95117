use login_runtime::login_required;

trait Pages {
    #[login_required]
    async fn account() -> &'static str;
}

fn main() {}
