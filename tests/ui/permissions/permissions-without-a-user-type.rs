use login_runtime::Permissions;

#[derive(Permissions)]
enum Permission {
    EditPost,
}

fn main() {}
