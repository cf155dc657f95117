use login_runtime::guards::Condition;

struct Visitor {
    is_staff: bool,
}

fn main() {
    let _ = Condition::check(|visitor: &Visitor| visitor.is_staff);
}
