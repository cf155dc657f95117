use login_runtime::login_required;

struct Visitor;

fn main() {
    let _ = login_required().user::<Visitor>();
}
