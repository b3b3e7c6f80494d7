//! What is wrong with a request is told, in one form, and never breaks anything.

use std::io::{Read, Write};
use std::sync::Arc;

use flate2::{Compression, read::GzDecoder, write::GzEncoder};
use reqwest::Method;
use reqwest::header::{ACCEPT, ACCEPT_ENCODING, CONTENT_ENCODING, CONTENT_TYPE, HeaderValue, IF_NONE_MATCH};
use serde_json::{Value, json};
use tidemark_acceptance::Outcome;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::api::{Answer, REQUEST_ID, send};
use super::run::Trial;
use super::world::{World, unique};
use crate::trials;

pub fn trials() -> Vec<Trial> {
    trials![
        what_is_no_json_is_refused,
        json_of_another_shape_is_refused,
        a_body_of_another_type_is_refused,
        a_body_that_is_too_large_is_refused,
        numbers_and_texts_beyond_all_bounds_are_refused,
        a_path_that_nobody_serves_is_not_found,
        a_path_that_is_no_text_is_not_found,
        every_spelling_of_a_path_leads_to_the_same,
        a_request_names_one_host,
        a_compressed_body_is_read_and_measured_unfolded,
        a_large_answer_is_compressed_for_who_takes_that,
        who_takes_no_json_is_refused,
        a_method_that_a_path_does_not_take_is_refused,
        options_tells_what_a_path_takes,
        a_request_keeps_the_id_that_it_brings,
        a_request_without_a_usable_id_gets_one,
        a_request_that_is_no_http_is_refused,
        head_answers_as_get_does_without_a_body,
    ]
}

/// JSON in which every text that any path asks for is `value`.
fn with_every_member(value: &str) -> Vec<u8> {
    let names = ["name", "text", "status", "after", "username"];
    let members: Vec<String> = names.iter().map(|name| format!("\"{name}\": {value}")).collect();
    format!("{{{}}}", members.join(", ")).into_bytes()
}

/// Every path that takes a body, with a body that it would take.
async fn with_bodies(world: &World) -> Outcome<Vec<(Method, String, Value)>> {
    let group = world.member().new_group(&unique("group")).await?;
    let task = world.member().new_task(&group, "task").await?;
    let account = json!({ "username": world.member.username, "password": "right horse 1" });
    Ok(vec![
        (Method::POST, "/api/auth/register".to_owned(), account.clone()),
        (Method::POST, "/auth/login".to_owned(), account),
        (Method::POST, "/api/groups".to_owned(), json!({ "name": "x" })),
        (Method::PUT, format!("/api/groups/{group}"), json!({ "name": "x" })),
        (Method::POST, format!("/api/groups/{group}/tasks"), json!({ "name": "x" })),
        (Method::POST, "/tasks".to_owned(), json!({ "name": "x" })),
        (Method::PUT, format!("/api/tasks/{task}"), json!({ "name": "x" })),
        (Method::PUT, format!("/api/tasks/{task}/status"), json!({ "status": "New" })),
        (Method::PUT, format!("/api/tasks/{task}/position"), json!({})),
        (Method::POST, format!("/api/tasks/{task}/comments"), json!({ "text": "x" })),
    ])
}

async fn send_bytes(world: &World, method: &Method, path: &str, body: impl Into<Vec<u8>>) -> Outcome<Answer> {
    let request = world.member().request(method.clone(), path).header(CONTENT_TYPE, "application/json");
    send(request.body(body.into())).await
}

async fn what_is_no_json_is_refused(world: Arc<World>) -> Outcome {
    for (method, path, right) in with_bodies(&world).await? {
        let right = right.to_string();
        let bodies: [Vec<u8>; 9] = [
            Vec::new(),
            b"{".to_vec(),
            b"nonsense".to_vec(),
            b"{\"name\": }".to_vec(),
            with_every_member("\"\\ud800\""),
            [b"{\"invalid\": \"\xff\xfe\", ".as_slice(), &with_every_member("\"\"")[1..]].concat(),
            format!("{right} {right}").into_bytes(),
            format!("\u{feff}{right}").into_bytes(),
            with_every_member(&format!("{}1{}", "[".repeat(1_000), "]".repeat(1_000))),
        ];
        for body in bodies {
            let told = String::from_utf8_lossy(&body).chars().take(40).collect::<String>();
            let answer = send_bytes(&world, &method, &path, body).await?;
            assert_eq!(answer.status.as_u16(), 400, "{method} {path} {told}: {}", answer.text());
            answer.any_problem();
        }
    }
    Ok(())
}

async fn json_of_another_shape_is_refused(world: Arc<World>) -> Outcome {
    for (method, path, right) in with_bodies(&world).await? {
        let values: Vec<Value> =
            right.as_object().into_iter().flatten().map(|(_, value)| value.clone()).collect();
        let mut list = values.clone();
        list.resize(6, Value::Null);
        for body in [
            json!(null),
            json!(true),
            json!(7),
            json!("text"),
            json!([]),
            json!(values),
            json!(list),
            json!([right]),
        ] {
            let answer = send(world.member().request(method.clone(), &path).json(&body)).await?;
            assert_eq!(answer.status.as_u16(), 400, "{method} {path} {body}: {}", answer.text());
            answer.any_problem();
        }
        for name in right.as_object().into_iter().flat_map(|members| members.keys()) {
            for value in [json!(7), json!(true), json!([]), json!({}), json!(["x"])] {
                let mut body = right.clone();
                body[name] = value;
                let answer = send(world.member().request(method.clone(), &path).json(&body)).await?;
                answer.invalid_fields(&[&format!("/{name}")]);
            }
            let twice = format!("{{\"{name}\": \"New\", \"{name}\": \"Backlog\"}}");
            send_bytes(&world, &method, &path, twice).await?.problem(400, "malformed-body");
        }
    }
    Ok(())
}

async fn a_body_of_another_type_is_refused(world: Arc<World>) -> Outcome {
    for (method, path, right) in with_bodies(&world).await? {
        for media_type in
            ["text/plain", "application/x-www-form-urlencoded", "application/jsonp", "nonsense", ""]
        {
            let request = world.member().request(method.clone(), &path).header(CONTENT_TYPE, media_type);
            send(request.body(right.to_string())).await?.problem(415, "unsupported-media-type");
        }
        let untyped = world.member().request(method.clone(), &path).body(right.to_string());
        send(untyped).await?.problem(415, "unsupported-media-type");
    }
    let typed = world.member().request(Method::POST, "/api/groups");
    let typed = typed.header(CONTENT_TYPE, "Application/JSON; charset=utf-8").body("{\"name\": \"typed\"}");
    send(typed).await?.expect(201);
    Ok(())
}

async fn a_body_that_is_too_large_is_refused(world: Arc<World>) -> Outcome {
    // Just above the limit, at the edge's own, and above that.
    for size in [(1 << 20) + 1, 2 << 20, (2 << 20) + 1, 8 << 20] {
        for (method, path, _) in with_bodies(&world).await? {
            let body = format!("{{\"name\": \"{}\"}}", "x".repeat(size));
            send_bytes(&world, &method, &path, body).await?.problem(413, "body-too-large");
        }
    }
    let fits = format!("{{\"name\": \"fits\"{}}}", " ".repeat((1 << 20) - 64));
    send_bytes(&world, &Method::POST, "/api/groups", fits).await?.expect(201);
    Ok(())
}

async fn numbers_and_texts_beyond_all_bounds_are_refused(world: Arc<World>) -> Outcome {
    let huge = format!("1{}", "0".repeat(5000));
    for number in ["1e999999", "-1e-999999", "18446744073709551616", huge.as_str()] {
        for (method, path, _) in with_bodies(&world).await? {
            let answer = send_bytes(&world, &method, &path, with_every_member(number)).await?;
            assert_eq!(answer.status.as_u16(), 400, "{method} {path} {number}: {}", answer.text());
            answer.any_problem();
        }
    }
    for character in ["\u{0}", "\u{7}", "\u{1b}[31m", "\u{7f}", "\u{85}"] {
        for (method, path, right) in with_bodies(&world).await? {
            for name in right.as_object().into_iter().flat_map(|members| members.keys()) {
                // A password is never shown; whatever characters it has are its owner's.
                if name == "password" || path == "/auth/login" {
                    continue;
                }
                let mut body = right.clone();
                body[name] = json!(format!("a{character}b"));
                let answer = send(world.member().request(method.clone(), &path).json(&body)).await?;
                answer.invalid_fields(&[&format!("/{name}")]);
            }
        }
    }
    Ok(())
}

async fn a_path_that_nobody_serves_is_not_found(world: Arc<World>) -> Outcome {
    for path in [
        "/nothing",
        "/api",
        "/api/",
        "/api/nothing",
        "/api/groups/",
        "/api/groups/x/y",
        "/api/tasks/x/y/z",
        "/auth",
        "/api/auth/nothing",
        "/api/users",
        "/api/logs",
        "/api/logs/group",
        "/tasks/",
        "/.well-known/nothing",
        "//api/groups",
    ] {
        for api in [world.anonymous(), world.member()] {
            let answer = api.get(path).await?;
            assert_eq!(answer.status.as_u16(), 404, "{path}: {}", answer.text());
            answer.any_problem();
        }
    }
    Ok(())
}

async fn a_path_that_is_no_text_is_not_found(world: Arc<World>) -> Outcome {
    for id in ["%ff", "%c3%28", "a%0ab", "%e2%82", "%f0%9f%a6%80", &"x".repeat(2000)] {
        for path in
            ["/api/groups/", "/api/tasks/", "/tasks/", "/api/logs/group/", "/api/logs/task/", "/api/docs/"]
        {
            let answer = world.member().get(&format!("{path}{id}")).await?;
            assert_eq!(answer.status.as_u16(), 404, "{path}{id}: {}", answer.text());
            answer.any_problem();
        }
    }
    // What the edge does not let through is told in the same form.
    for path in ["/api/groups/%00", "/tasks/..%2f..%2fmetrics", "/%2e%2e%2f"] {
        let answer = world.member().get(path).await?;
        assert!(matches!(answer.status.as_u16(), 400 | 404), "{path}: {}", answer.text());
        answer.any_problem();
    }
    Ok(())
}

async fn every_spelling_of_a_path_leads_to_the_same(world: Arc<World>) -> Outcome {
    let group = world.member().new_group(&unique("group")).await?;
    let escaped = group.bytes().fold(String::new(), |escaped, byte| format!("{escaped}%{byte:02X}"));
    for path in [
        format!("/api/%67roups/{group}"),
        format!("/%61%70%69/groups/{escaped}"),
        format!("/api/gr%6fups/{escaped}?limit=1"),
    ] {
        assert_eq!(world.member().get(&path).await?.expect(200).json()["group"]["_id"], group, "{path}");
    }
    Ok(())
}

async fn a_request_names_one_host(world: Arc<World>) -> Outcome {
    let address = world.stack.base_url().replace("http://localhost", "127.0.0.1");
    for (hosts, status) in [
        ("Host: x\r\n", 200),
        ("", 400),
        ("Host: x\r\nHost: x\r\n", 400),
        ("Host: x\r\nHost: y\r\n", 400),
        ("Host: x y\r\n", 400),
    ] {
        let mut connection = TcpStream::connect(&address).await?;
        let request = format!("GET /api/health HTTP/1.1\r\nConnection: close\r\n{hosts}\r\n");
        connection.write_all(request.as_bytes()).await?;
        let mut answer = String::new();
        connection.read_to_string(&mut answer).await?;
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{hosts}: {answer}");
        assert!(status == 200 || answer.contains("malformed-request"), "{hosts}: {answer}");
    }
    Ok(())
}

fn gzip(plain: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(plain).and_then(|()| encoder.finish()).expect("a vector takes everything")
}

async fn a_compressed_body_is_read_and_measured_unfolded(world: Arc<World>) -> Outcome {
    let send = async |encoding: &str, body: Vec<u8>| {
        let request = world.member().request(Method::POST, "/api/groups").header(CONTENT_ENCODING, encoding);
        send(request.header(CONTENT_TYPE, "application/json").body(body)).await
    };
    let right = b"{\"name\": \"compressed\"}";
    assert_eq!(send("gzip", gzip(right)).await?.expect(201).json()["group"]["name"], "compressed");
    send("gzip", right.to_vec()).await?.problem(400, "malformed-body");
    let bomb = format!("{{\"name\": \"{}\"}}", "x".repeat(64 << 20));
    send("gzip", gzip(bomb.as_bytes())).await?.problem(413, "body-too-large");
    let unread = send("br", right.to_vec()).await?;
    unread.problem(415, "unsupported-encoding");
    assert!(unread.header("accept-encoding").is_some_and(|codings| codings.contains("gzip")));
    Ok(())
}

async fn a_large_answer_is_compressed_for_who_takes_that(world: Arc<World>) -> Outcome {
    let group = world.member().new_group(&unique("group")).await?;
    for _ in 0..10 {
        world.member().new_task(&group, &"long ".repeat(40)).await?;
    }
    let path = format!("/api/groups/{group}");
    let plain = world.member().get(&path).await?.expect(200);
    let request = world.member().request(Method::GET, &path).header(ACCEPT_ENCODING, "gzip");
    let packed = send(request).await?.expect(200);
    assert_eq!((plain.header("content-encoding"), packed.header("content-encoding")), (None, Some("gzip")));
    for answer in [&plain, &packed] {
        let vary = answer.header("vary").unwrap_or_default();
        assert!(vary.eq_ignore_ascii_case("accept-encoding"), "{vary}");
    }
    let mut unfolded = Vec::new();
    GzDecoder::new(&packed.body[..]).read_to_end(&mut unfolded)?;
    assert_eq!(unfolded, plain.body);
    // Other bytes, and so a weak tag: the same one for both, and where the answer is known.
    let tag = packed.tag().to_owned();
    assert_eq!((plain.tag(), tag.starts_with("W/")), (&*tag, true));
    for method in [Method::GET, Method::HEAD] {
        let again = world.member().request(method, &path).header(IF_NONE_MATCH, &tag);
        let known = send(again.header(ACCEPT_ENCODING, "gzip")).await?.expect(304);
        assert_eq!((known.tag(), known.header("content-length")), (&*tag, None));
    }
    world.member().put_if(&path, &tag, &json!({ "name": "renamed" })).await?.expect(200);
    Ok(())
}

async fn who_takes_no_json_is_refused(world: Arc<World>) -> Outcome {
    let get = async |accept: &str| {
        send(world.member().request(Method::GET, "/api/groups").header(ACCEPT, accept)).await
    };
    for taken in ["*/*", "application/json", "text/html, application/*;q=0.1"] {
        get(taken).await?.expect(200);
    }
    for untaken in ["text/html", "application/json;q=0, */*"] {
        get(untaken).await?.problem(406, "not-acceptable");
    }
    Ok(())
}

async fn options_tells_what_a_path_takes(world: Arc<World>) -> Outcome {
    for (path, allowed) in
        [("/api/groups", ["GET", "HEAD", "POST"]), ("/api/tasks/x", ["GET", "PUT", "DELETE"])]
    {
        let answer = send(world.anonymous().request(Method::OPTIONS, path)).await?.expect(204);
        let allow: Vec<&str> = answer.header("allow").unwrap_or_default().split(',').map(str::trim).collect();
        assert!(allowed.iter().all(|method| allow.contains(method)), "{path}: {allow:?}");
    }
    send(world.anonymous().request(Method::OPTIONS, "/api/nothing")).await?.problem(404, "no-such-path");
    Ok(())
}

async fn a_method_that_a_path_does_not_take_is_refused(world: Arc<World>) -> Outcome {
    for (method, path) in [
        (Method::GET, "/api/auth/login"),
        (Method::DELETE, "/api/auth/users"),
        (Method::PATCH, "/api/groups"),
        (Method::DELETE, "/api/groups"),
        (Method::POST, "/api/groups/x"),
        (Method::PUT, "/tasks"),
        (Method::PATCH, "/api/tasks/x"),
        (Method::GET, "/api/tasks/x/status"),
        (Method::DELETE, "/api/tasks/x/comments"),
        (Method::POST, "/api/logs/groups"),
        (Method::POST, "/api/health"),
        (Method::from_bytes(b"BREW")?, "/api/groups"),
        (Method::TRACE, "/api/groups"),
    ] {
        let answer = send(world.member().request(method.clone(), path)).await?;
        answer.problem(405, "method-not-allowed");
        let allowed = answer.header("allow").unwrap_or_default();
        assert!(!allowed.is_empty() && !allowed.contains(method.as_str()), "{method} {path}: {allowed}");
    }
    Ok(())
}

async fn a_request_keeps_the_id_that_it_brings(world: Arc<World>) -> Outcome {
    let (usual, longest) = (unique("request"), "x".repeat(128));
    for request_id in ["7", "a_B.c-9", &longest] {
        let request = world.member().request(Method::GET, "/api/groups").header(REQUEST_ID, request_id);
        assert_eq!(send(request).await?.expect(200).header(REQUEST_ID), Some(request_id));
    }
    let request_id = usual;
    for (path, status) in
        [("/api/groups", 200), ("/api/nothing", 404), ("/api/tasks/x", 404), ("/api/health", 200)]
    {
        let request = world.member().request(Method::GET, path).header(REQUEST_ID, &request_id);
        let answer = send(request).await?.expect(status);
        assert_eq!(answer.header(REQUEST_ID), Some(request_id.as_str()), "{path}");
        if status == 404 {
            assert_eq!(answer.any_problem()["requestId"], json!(request_id));
        }
    }
    Ok(())
}

async fn a_request_without_a_usable_id_gets_one(world: Arc<World>) -> Outcome {
    for unusable in ["", &"x".repeat(129), "two words and \"quotes\"", "\u{e4}"] {
        let value = HeaderValue::from_bytes(unusable.as_bytes())?;
        let answer =
            send(world.member().request(Method::GET, "/api/groups/x").header(REQUEST_ID, value)).await?;
        let given = answer.any_problem()["requestId"].clone();
        assert!(given.as_str().is_some_and(|id| id.len() >= 16 && id != unusable), "{given}");
    }
    let (one, other) =
        tokio::try_join!(world.anonymous().get("/api/health"), world.anonymous().get("/api/health"))?;
    assert_ne!(one.header(REQUEST_ID), other.header(REQUEST_ID));
    Ok(())
}

async fn a_request_that_is_no_http_is_refused(world: Arc<World>) -> Outcome {
    let address = world.stack.base_url().replace("http://localhost", "127.0.0.1");
    for request in [
        &b"\x16\x03\x01\x02\x00nonsense\r\n\r\n"[..],
        b"GET /api/groups\r\n\r\n",
        b"GET /api/tasks/\xff\xfe HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
        b"POST /api/groups HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n",
        b"POST /api/groups HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nnonsense\r\n\r\n",
    ] {
        let mut connection = TcpStream::connect(&address).await?;
        connection.write_all(request).await?;
        connection.shutdown().await?;
        let mut answer = Vec::new();
        // A reset is a refusal too.
        let _ = connection.read_to_end(&mut answer).await;
        let answer = String::from_utf8_lossy(&answer);
        assert!(!answer.contains(" 200 ") && !answer.starts_with("HTTP/1.1 5"), "{answer}");
    }
    world.anonymous().get("/api/health").await?.expect(200);
    Ok(())
}

async fn head_answers_as_get_does_without_a_body(world: Arc<World>) -> Outcome {
    let group = world.member().new_group(&unique("group")).await?;
    let path = format!("/api/groups/{group}");
    let head = send(world.member().request(Method::HEAD, &path)).await?.expect(200);
    assert_eq!((head.body.len(), head.version()), (0, "1"));
    Ok(())
}
