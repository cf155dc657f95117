use actix_web::HttpRequest as R;
use login_runtime::login_required;

#[login_required]
#[rustfmt::skip]
async fn account(
    _: R, _: R, _: R, _: R, _: R, _: R, _: R, _: R,
    _: R, _: R, _: R, _: R, _: R, _: R, _: R, _: R,
    last: R,
) -> String {
    last.path().to_owned()
}

fn main() {}
