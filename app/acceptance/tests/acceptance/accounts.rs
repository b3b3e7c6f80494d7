//! Registering, logging in, and who is there.

use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, DecodingKey, Validation};
use serde_json::{Value, json};
use tidemark_acceptance::Outcome;

use super::api::id;
use super::run::Trial;
use super::world::{World, unique};
use crate::trials;

const PASSWORD: &str = "correct horse 1";

pub fn trials() -> Vec<Trial> {
    trials![
        a_registration_answers_with_the_user_and_never_with_a_password,
        a_registration_names_every_field_that_breaks_a_rule,
        each_rule_for_a_password_is_told,
        a_password_is_not_the_user_name,
        a_demo_user_alone_may_have_the_short_password_of_the_demonstration,
        a_password_is_the_same_however_it_was_typed,
        a_name_that_deceives_the_eye_is_refused,
        a_taken_name_is_refused_in_any_case,
        a_name_that_is_taken_for_another_is_refused,
        of_two_simultaneous_registrations_of_one_name_one_succeeds,
        a_repeated_registration_with_one_key_returns_the_first_answer,
        a_login_answers_with_a_token_in_both_places,
        a_wrong_password_and_an_unknown_name_are_refused_alike,
        a_login_without_its_fields_names_them,
        the_paths_without_api_are_the_same,
        everybody_is_listed_once_by_pages,
        a_user_sees_themselves,
        the_published_keys_verify_a_token,
    ]
}

fn credentials(username: &str, password: &str) -> Value {
    json!({ "username": username, "password": password })
}

async fn a_registration_answers_with_the_user_and_never_with_a_password(world: Arc<World>) -> Outcome {
    let name = unique("Grace");
    let body = json!({ "username": format!("  {name} "), "password": PASSWORD, "displayName": "Grace H." });
    let answer = world.anonymous().post("/api/auth/register", &body).await?.expect(201);
    assert!(!answer.text().contains("assword") && !answer.text().contains(PASSWORD), "{}", answer.text());
    let user = &answer.json()["user"];
    assert_eq!((&user["username"], &user["displayName"]), (&json!(name), &json!("Grace H.")));
    assert!(id(user).len() <= 100 && user["createdAt"].as_str().is_some_and(|time| time.ends_with('Z')));
    Ok(())
}

async fn a_registration_names_every_field_that_breaks_a_rule(world: Arc<World>) -> Outcome {
    let register = async |body: Value| world.anonymous().post("/api/auth/register", &body).await;
    register(json!({})).await?.invalid_fields(&["/username", "/password"]);
    register(json!({ "password": PASSWORD })).await?.invalid_fields(&["/username"]);
    register(credentials(" \t", PASSWORD)).await?.invalid_fields(&["/username"]);
    register(credentials(&"x".repeat(101), PASSWORD)).await?.invalid_fields(&["/username"]);
    register(credentials("line\nbreak", PASSWORD)).await?.invalid_fields(&["/username"]);
    let long = json!({ "username": unique("u"), "password": PASSWORD, "displayName": "x".repeat(101) });
    register(long).await?.invalid_fields(&["/displayName"]);
    register(json!({ "username": 7, "password": PASSWORD })).await?.invalid_fields(&["/username"]);
    Ok(())
}

async fn each_rule_for_a_password_is_told(world: Arc<World>) -> Outcome {
    for (password, message) in [
        ("a1b2c3d", "password must be at least 8 characters long"),
        (&"a1".repeat(129), "password must be at most 256 bytes long"),
        ("Trustno1", "password is one of the most common ones"),
        ("eight\u{7}bells", "password must not contain control characters"),
    ] {
        let body = credentials(&unique("u"), password);
        let answer = world.anonymous().post("/api/auth/register", &body).await?;
        answer.invalid_fields(&["/password"]);
        assert_eq!(answer.json()["error"], json!(message));
    }
    Ok(())
}

async fn a_password_is_not_the_user_name(world: Arc<World>) -> Outcome {
    let name = unique("Grace");
    let answer =
        world.anonymous().post("/api/auth/register", &credentials(&name, &name.to_uppercase())).await?;
    answer.invalid_fields(&["/password"]);
    assert_eq!(answer.json()["error"], json!("password must not be the user name"));
    Ok(())
}

async fn a_demo_user_alone_may_have_the_short_password_of_the_demonstration(world: Arc<World>) -> Outcome {
    let register =
        async |name: &str| world.anonymous().post("/api/auth/register", &credentials(name, "Arun123")).await;
    register(&unique("Arun")).await?.invalid_fields(&["/password"]);
    // Somebody may have seeded before.
    let status = register("Arun").await?.status.as_u16();
    assert!(status == 201 || status == 409, "{status}");
    Ok(())
}

async fn a_password_is_the_same_however_it_was_typed(world: Arc<World>) -> Outcome {
    let name = unique("Zo\u{eb}");
    let body = credentials(&name, "caf\u{e9} au\u{a0}lait");
    world.anonymous().post("/api/auth/register", &body).await?.expect(201);
    let decomposed = credentials(&name.replace('\u{eb}', "e\u{308}"), "cafe\u{301} au lait");
    let session = world.anonymous().post("/api/auth/login", &decomposed).await?.expect(200).json();
    assert_eq!(session["data"]["username"], json!(name));
    Ok(())
}

async fn a_name_that_deceives_the_eye_is_refused(world: Arc<World>) -> Outcome {
    for name in ["a\u{200b}b", "a\u{202e}b", "p\u{430}ypal", "crab 🦀", "\u{200d}"] {
        let answer = world.anonymous().post("/api/auth/register", &credentials(name, PASSWORD)).await?;
        answer.invalid_fields(&["/username"]);
    }
    Ok(())
}

async fn a_taken_name_is_refused_in_any_case(world: Arc<World>) -> Outcome {
    for name in [world.member.username.clone(), world.member.username.to_uppercase()] {
        let answer = world.anonymous().post("/api/auth/register", &credentials(&name, PASSWORD)).await?;
        answer.problem(409, "username-taken");
    }
    Ok(())
}

async fn a_name_that_is_taken_for_another_is_refused(world: Arc<World>) -> Outcome {
    let register =
        async |name: &str| world.anonymous().post("/api/auth/register", &credentials(name, PASSWORD)).await;
    let number = unique("").replace(['0', '1'], "7");
    let name = format!("Alice{number}");
    register(&name).await?.expect(201);
    for alike in [format!("AIice{number}"), format!("a1ice{number}")] {
        register(&alike).await?.problem(409, "username-taken");
    }
    // Which the eye tells apart, and nobody logs in by a likeness.
    register(&format!("Anice{number}")).await?.expect(201);
    let alike = credentials(&format!("AIice{number}"), PASSWORD);
    world.anonymous().post("/api/auth/login", &alike).await?.problem(401, "bad-credentials");
    let in_capitals = credentials(&name.to_uppercase(), PASSWORD);
    let session = world.anonymous().post("/api/auth/login", &in_capitals).await?.expect(200).json();
    assert_eq!(session["data"]["username"], json!(name), "shown as it was typed");
    Ok(())
}

async fn of_two_simultaneous_registrations_of_one_name_one_succeeds(world: Arc<World>) -> Outcome {
    for _ in 0..3 {
        let name = unique("twin");
        let (lower, upper) = (credentials(&name, PASSWORD), credentials(&name.to_uppercase(), PASSWORD));
        let (one, other) = tokio::try_join!(
            world.anonymous().post("/api/auth/register", &lower),
            world.anonymous().post("/auth/register", &upper),
        )?;
        let (first, second) = if one.status.as_u16() == 201 { (one, other) } else { (other, one) };
        first.expect(201);
        second.problem(409, "username-taken");
    }
    Ok(())
}

async fn a_repeated_registration_with_one_key_returns_the_first_answer(world: Arc<World>) -> Outcome {
    let (key, body) = (unique("key"), credentials(&unique("retry"), PASSWORD));
    let register = async |body: &Value| world.anonymous().post_once("/api/auth/register", &key, body).await;
    let first = register(&body).await?.expect(201);
    let again = register(&body).await?.expect(201);
    assert_eq!((again.body.clone(), again.header("idempotency-replayed")), (first.body, Some("true")));
    let mut other = body.clone();
    other["displayName"] = json!("somebody else");
    register(&other).await?.problem(422, "idempotency-key-reused");
    Ok(())
}

async fn a_login_answers_with_a_token_in_both_places(world: Arc<World>) -> Outcome {
    let body = credentials(&world.member.username, &world.member.password);
    let session = world.anonymous().post("/api/auth/login", &body).await?.expect(200).json();
    assert_eq!(session["success"], json!(true));
    let data = &session["data"];
    assert_eq!((id(data), &data["username"]), (world.member.id.as_str(), &json!(world.member.username)));
    assert!(session["token"].is_string() && session["token"] == data["token"], "{session}");
    let token = session["token"].as_str().unwrap_or_default();
    world.anonymous().with_token(token).get("/api/users/me").await?.expect(200);
    Ok(())
}

async fn a_wrong_password_and_an_unknown_name_are_refused_alike(world: Arc<World>) -> Outcome {
    let wrong = credentials(&world.member.username, "wrong horse 1");
    let unknown = credentials(&unique("nobody"), PASSWORD);
    let wrong = world.anonymous().post("/api/auth/login", &wrong).await?.problem(401, "bad-credentials");
    let unknown = world.anonymous().post("/api/auth/login", &unknown).await?.problem(401, "bad-credentials");
    assert_eq!(wrong["error"], unknown["error"], "the answer must not tell which of the two was wrong");
    Ok(())
}

async fn a_login_without_its_fields_names_them(world: Arc<World>) -> Outcome {
    let log_in = async |body: Value| world.anonymous().post("/api/auth/login", &body).await;
    log_in(json!({})).await?.invalid_fields(&["/username", "/password"]);
    log_in(json!({ "username": "x" })).await?.invalid_fields(&["/password"]);
    log_in(json!({ "password": "x" })).await?.invalid_fields(&["/username"]);
    Ok(())
}

async fn the_paths_without_api_are_the_same(world: Arc<World>) -> Outcome {
    let body = credentials(&unique("alias"), PASSWORD);
    world.anonymous().post("/auth/register", &body).await?.expect(201);
    let session = world.anonymous().post("/auth/login", &body).await?.expect(200).json();
    assert!(session["data"]["token"].is_string());
    world.anonymous().post("/api/auth/login", &body).await?.expect(200);
    Ok(())
}

async fn everybody_is_listed_once_by_pages(world: Arc<World>) -> Outcome {
    let mut registered = Vec::new();
    for _ in 0..5 {
        let body = credentials(&unique("listed"), PASSWORD);
        registered.push(world.anonymous().post("/api/auth/register", &body).await?.expect(201).id("user"));
    }
    let first = world.member().get("/api/auth/users?limit=2").await?.expect(200).json();
    assert_eq!(first["users"].as_array().map(Vec::len), Some(2));
    let listed = world.member().all("/api/auth/users?limit=2", "users").await?;
    assert!(listed.iter().all(|user| user["username"].is_string()));
    for user in registered {
        assert_eq!(listed.iter().filter(|listed| id(listed) == user).count(), 1, "{user}");
    }
    Ok(())
}

async fn a_user_sees_themselves(world: Arc<World>) -> Outcome {
    let answer = world.member().get("/api/users/me").await?.expect(200);
    assert_eq!(answer.version(), "1");
    let user = &answer.json()["user"];
    assert_eq!((id(user), &user["username"]), (world.member.id.as_str(), &json!(world.member.username)));
    world.stranger()?.get("/api/users/me").await?.problem(404, "not-found");
    Ok(())
}

async fn the_published_keys_verify_a_token(world: Arc<World>) -> Outcome {
    let keys = world.anonymous().get("/.well-known/jwks.json").await?.expect(200).json();
    let header = jsonwebtoken::decode_header(world.member().token())?;
    assert_eq!(header.alg, Algorithm::EdDSA);
    let key = keys["keys"]
        .as_array()
        .into_iter()
        .flatten()
        .find(|key| key["kid"].as_str() == header.kid.as_deref());
    let key = key.unwrap_or_else(|| panic!("{:?} is not published in {keys}", header.kid));
    assert_eq!((&key["kty"], &key["crv"]), (&json!("OKP"), &json!("Ed25519")));
    assert!(key.get("d").is_none(), "the private half stays where it is");

    let public = key["x"].as_str().unwrap_or_default();
    let mut validation = Validation::new(Algorithm::EdDSA);
    validation.set_issuer(&["todo-app"]);
    validation.set_audience(&["todo-users"]);
    let claims = jsonwebtoken::decode::<Value>(
        world.member().token(),
        &DecodingKey::from_ed_components(public)?,
        &validation,
    )?
    .claims;
    assert_eq!(claims["sub"], json!(world.member.id));
    assert_eq!(claims["username"], json!(world.member.username));
    assert!(claims["sid"].as_str().is_some_and(|session| !session.is_empty()));
    assert_eq!(URL_SAFE_NO_PAD.decode(public)?.len(), 32);
    Ok(())
}
