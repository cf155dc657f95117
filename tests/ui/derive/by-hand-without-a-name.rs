use login_runtime::AuthUser;

struct Customer(i64);

impl AuthUser for Customer {
    type Id = i64;

    fn get_id(&self) -> i64 {
        self.0
    }
}

fn main() {}
