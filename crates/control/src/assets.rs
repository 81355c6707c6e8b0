//! The console's files, taken into the binary when `console/dist` was built before it; else a page that
//! says how to build it.

use axum::body::Body;
use axum::http::{HeaderValue, Response, StatusCode, Uri, header};
use axum::response::IntoResponse as _;

/// The build folder. In a debug build the files are read when they are asked for.
#[derive(rust_embed::Embed)]
#[folder = "../../console/dist"]
#[allow_missing = true]
struct Dist;

const NOT_BUILT: &str = r#"<!doctype html>
<html lang="en">
<head><meta charset="utf-8"><title>Bailiwick</title></head>
<body>
<h1>The console is not in this build</h1>
<p>The gateway, the ledger and the command line work. To build the console into the program, run
<code>cargo xtask up</code> in the source folder, or:</p>
<pre>npm --prefix console ci
npm --prefix console run build
cargo build --release</pre>
<p>Approvals can be answered with <code>bailiwick approve</code>.</p>
</body>
</html>
"#;

/// A file of the console. Everything that is no file is the console's single page, whose address bar
/// says which of its pages is shown.
pub(crate) async fn serve(uri: Uri) -> Response<Body> {
    let path = uri.path().trim_start_matches('/');
    if let Some(file) = Dist::get(path).filter(|_| !path.is_empty()) {
        return page(path, file);
    }
    if path.starts_with("api/") || path.starts_with("assets/") {
        return StatusCode::NOT_FOUND.into_response();
    }
    match Dist::get("index.html") {
        Some(file) => page("index.html", file),
        None => ([(header::CONTENT_TYPE, "text/html; charset=utf-8")], NOT_BUILT).into_response(),
    }
}

fn page(path: &str, file: rust_embed::EmbeddedFile) -> Response<Body> {
    // The names under assets/ carry a digest of their content.
    let cache = if path.starts_with("assets/") { "private, max-age=31536000, immutable" } else { "no-store" };
    let kind = HeaderValue::from_str(file.metadata.mimetype());
    let mut response = Response::new(Body::from(file.data.into_owned()));
    let headers = response.headers_mut();
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static(cache));
    headers.insert(header::CONTENT_TYPE, kind.unwrap_or(HeaderValue::from_static("application/octet-stream")));
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn without_the_console_the_page_says_how_to_build_it() {
        let response = serve(Uri::from_static("/findings")).await;
        assert_eq!(response.status(), StatusCode::OK);
        let missing = serve(Uri::from_static("/assets/none.js")).await;
        assert_eq!(missing.status(), StatusCode::NOT_FOUND);
        let api = serve(Uri::from_static("/api/none")).await;
        assert_eq!(api.status(), StatusCode::NOT_FOUND);
    }
}
