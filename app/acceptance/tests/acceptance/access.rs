//! Whose requests are believed, and what they reach.

use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use reqwest::Method;
use reqwest::header::AUTHORIZATION;
use serde_json::json;
use tidemark_acceptance::Outcome;

use super::api::{Answer, send};
use super::run::Trial;
use super::world::{World, unique};
use crate::trials;

pub fn trials() -> Vec<Trial> {
    trials![
        without_a_token_every_protected_path_is_closed,
        what_is_no_bearer_token_is_none,
        a_token_that_was_tampered_with_or_forged_is_refused,
        a_token_for_somebody_else_is_refused,
        an_expired_token_is_told_apart,
        another_workspace_sees_nothing_of_this_one,
        another_workspace_cannot_change_anything_of_this_one,
    ]
}

/// A path of each role and kind.
const PROTECTED: [(&str, &str); 11] = [
    ("GET", "/api/auth/users"),
    ("GET", "/api/users/me"),
    ("GET", "/api/groups"),
    ("POST", "/api/groups"),
    ("DELETE", "/api/groups/g000"),
    ("GET", "/api/tasks"),
    ("POST", "/tasks"),
    ("PUT", "/api/tasks/t000/status"),
    ("POST", "/api/tasks/t000/comments"),
    ("GET", "/api/logs/groups"),
    ("GET", "/api/logs/task/t000"),
];

/// The same refusal in every role that looks at tokens.
async fn refused_everywhere(world: &World, token: &str, status: u16, code: &str, error: &str) -> Outcome {
    for path in ["/api/users/me", "/api/groups", "/api/logs/groups"] {
        let answer = world.anonymous().with_token(token).get(path).await?;
        assert_eq!(answer.problem(status, code)["error"], json!(error), "{path}");
        let challenge = answer.header("www-authenticate").unwrap_or_default();
        assert!(
            challenge.starts_with("Bearer ") && challenge.contains("error=\"invalid_token\""),
            "{challenge}"
        );
    }
    Ok(())
}

async fn without_a_token_every_protected_path_is_closed(world: Arc<World>) -> Outcome {
    for (method, path) in PROTECTED {
        let answer = send(world.anonymous().request(Method::from_bytes(method.as_bytes())?, path)).await?;
        assert_eq!(answer.problem(401, "token-missing")["error"], json!("Access token required"), "{path}");
        assert_eq!(answer.header("www-authenticate"), Some("Bearer realm=\"tidemark\""), "{path}");
    }
    Ok(())
}

async fn what_is_no_bearer_token_is_none(world: Arc<World>) -> Outcome {
    let with = async |value: &str| {
        send(world.anonymous().request(Method::GET, "/api/groups").header(AUTHORIZATION, value)).await
    };
    for value in ["Basic YWRhOnNlY3JldA==", "Bearer", world.member().token()] {
        with(value).await?.problem(401, "token-missing");
    }
    with("Bearer ").await?.any_problem();
    with(&format!("bearer {}", world.member().token())).await?.expect(200);
    Ok(())
}

async fn a_token_that_was_tampered_with_or_forged_is_refused(world: Arc<World>) -> Outcome {
    let real = world.member().token();
    let (signed, signature) = real.rsplit_once('.').unwrap_or_default();
    let keys = world.anonymous().get("/.well-known/jwks.json").await?.expect(200).json();
    let public = URL_SAFE_NO_PAD.decode(keys["keys"][0]["x"].as_str().unwrap_or_default())?;
    let mut flipped = URL_SAFE_NO_PAD.decode(signature)?;
    flipped[0] ^= 1;
    for token in [
        "nonsense".to_owned(),
        "a.b.c".to_owned(),
        signed.to_owned(),
        format!("{signed}.{}", URL_SAFE_NO_PAD.encode(flipped)),
        world.mint.forged()?,
        world.mint.unsigned(),
        world.mint.confused(&public)?,
        world.mint.with_key_id(&unique("key"))?,
    ] {
        refused_everywhere(&world, &token, 403, "token-invalid", "Invalid token").await?;
    }
    Ok(())
}

async fn a_token_for_somebody_else_is_refused(world: Arc<World>) -> Outcome {
    for changes in [
        json!({ "iss": "somebody-else" }),
        json!({ "iss": null }),
        json!({ "aud": "other-users" }),
        json!({ "aud": null }),
        json!({ "exp": null }),
        json!({ "sub": "another subject" }),
        json!({ "workspace": "../default" }),
        json!({ "userId": 7 }),
    ] {
        let token = world.mint.token(&changes)?;
        refused_everywhere(&world, &token, 403, "token-invalid", "Invalid token").await?;
    }
    Ok(())
}

async fn an_expired_token_is_told_apart(world: Arc<World>) -> Outcome {
    let token = world.mint.token(&json!({ "exp": world.mint.issued_at() - 1 }))?;
    refused_everywhere(&world, &token, 401, "token-expired", "Access token expired").await
}

async fn another_workspace_sees_nothing_of_this_one(world: Arc<World>) -> Outcome {
    let group = world.member().new_group(&unique("group")).await?;
    let task = world.member().new_task(&group, "task").await?;
    let other = world.elsewhere()?;
    for path in [
        format!("/api/groups/{group}"),
        format!("/api/groups/{group}/tasks"),
        format!("/api/tasks?groupId={group}"),
        format!("/api/tasks/{task}"),
        format!("/tasks/{task}"),
        format!("/api/tasks/{task}/comments"),
    ] {
        other.get(&path).await?.problem(404, "not-found");
    }
    for (path, member) in [
        ("/api/groups".to_owned(), "groups"),
        ("/api/groups?include=tasks".to_owned(), "groups"),
        ("/api/tasks".to_owned(), "tasks"),
        ("/api/logs/groups".to_owned(), "groups"),
        (format!("/api/logs/group/{group}"), "logs"),
        (format!("/api/logs/group/{group}/tasks"), "tasks"),
        (format!("/api/logs/task/{task}"), "logs"),
    ] {
        assert_eq!(other.get(&path).await?.expect(200).json()[member], json!([]), "{path}");
    }
    Ok(())
}

async fn another_workspace_cannot_change_anything_of_this_one(world: Arc<World>) -> Outcome {
    let group = world.member().new_group(&unique("group")).await?;
    let task = world.member().new_task(&group, "task").await?;
    let (group_path, task_path) = (format!("/api/groups/{group}"), format!("/api/tasks/{task}"));
    let before: (Answer, Answer) =
        tokio::try_join!(world.member().get(&group_path), world.member().get(&task_path))?;
    let other = world.elsewhere()?;
    let name = json!({ "name": "mine now" });
    other.put(&group_path, &name).await?.problem(404, "not-found");
    other.put(&task_path, &name).await?.problem(404, "not-found");
    other
        .put(&format!("{task_path}/status"), &json!({ "status": "Approved" }))
        .await?
        .problem(404, "not-found");
    other.put(&format!("{task_path}/position"), &json!({})).await?.problem(404, "not-found");
    other.post(&format!("{group_path}/tasks"), &name).await?.problem(404, "not-found");
    let into = json!({ "name": "mine now", "groupId": group });
    other.post("/tasks", &into).await?.problem(404, "not-found");
    other
        .post(&format!("{task_path}/comments"), &json!({ "text": "hello" }))
        .await?
        .problem(404, "not-found");
    other.delete(&task_path).await?.problem(404, "not-found");
    other.delete(&group_path).await?.problem(404, "not-found");
    let after: (Answer, Answer) =
        tokio::try_join!(world.member().get(&group_path), world.member().get(&task_path))?;
    assert_eq!((before.0.body, before.1.body), (after.0.body, after.1.body));
    Ok(())
}
