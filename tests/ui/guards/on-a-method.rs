use login_runtime::login_required;

struct Pages {
    title: String,
}

impl Pages {
    #[login_required]
    async fn account(&self) -> String {
        self.title.clone()
    }
}

fn main() {}
