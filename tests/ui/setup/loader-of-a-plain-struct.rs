use login_runtime::LoginManager;

struct Account {
    id: i64,
}

async fn find(id: i64) -> Result<Option<Account>, std::io::Error> {
    Ok(Some(Account { id }))
}

fn main() {
    let _ = LoginManager::builder(find);
}
