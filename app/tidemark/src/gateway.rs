//! The gateway role: the front door for everything that is no role's own path. It has no data; it answers for
//! the health of the whole installation and shows its documentation.

mod documentation;

use axum::{Json, Router, routing::get};
use serde::Serialize;

use crate::foundation::Offer;

pub fn start() -> Offer {
    let router = Router::new().route("/", get(welcome)).merge(documentation::router());
    Offer { router, ..Offer::default() }
}

#[derive(Serialize)]
struct Welcome {
    name: &'static str,
    version: &'static str,
    health: &'static str,
    login: &'static str,
    documentation: &'static str,
}

async fn welcome() -> Json<Welcome> {
    Json(Welcome {
        name: "Tidemark",
        version: env!("CARGO_PKG_VERSION"),
        health: "/api/health",
        login: "POST /api/auth/login",
        documentation: "/api/docs/",
    })
}
