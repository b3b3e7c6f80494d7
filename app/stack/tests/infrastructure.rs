//! The stack as other crates' tests use it: real Redis, Kafka, `PostgreSQL` and sidecars.

use std::time::{Duration, Instant};

use tidemark_stack::{Phase, Progress, SidecarOptions, Stack, StackOptions};

const SOON: Duration = Duration::from_secs(30);

#[tokio::test]
async fn infrastructure_and_a_bare_sidecar_work_and_survive_kills() {
    let started = Instant::now();
    let stack =
        Stack::start(StackOptions::for_test("infrastructure"), Progress::to_standard_error()).await.unwrap();
    eprintln!("infrastructure {:?}", started.elapsed());
    let sidecar = stack.start_sidecar(SidecarOptions::new("tidemark")).await.unwrap();
    eprintln!("sidecar {:?}", started.elapsed());

    let http = reqwest::Client::new();
    let save = http
        .post(format!("{}/v1.0/state/statestore", sidecar.http_endpoint()))
        .header("dapr-api-token", sidecar.api_token())
        .json(&serde_json::json!([{"key": "greeting", "value": "hello"}]))
        .send()
        .await
        .unwrap();
    assert!(save.status().is_success(), "{}", save.text().await.unwrap());
    let publish = http
        .post(format!("{}/v1.0/publish/pubsub/todo-history-events", sidecar.http_endpoint()))
        .header("dapr-api-token", sidecar.api_token())
        .body("x")
        .send()
        .await
        .unwrap();
    assert!(publish.status().is_success(), "{}", publish.text().await.unwrap());
    let query = http
        .post(format!("{}/v1.0/bindings/historydb", sidecar.http_endpoint()))
        .header("dapr-api-token", sidecar.api_token())
        .json(&serde_json::json!({"operation": "query", "metadata": {"sql": "select 41 + 1"}}))
        .send()
        .await
        .unwrap();
    assert_eq!(query.text().await.unwrap(), "[[42]]");

    for name in ["redis", "kafka", "postgres"] {
        let part = stack.part(name).unwrap();
        let before = part.pid().unwrap();
        let moment = Instant::now();
        part.kill().await.unwrap();
        part.wait_healthy(SOON).await.unwrap();
        eprintln!("{name} back after {:?}", moment.elapsed());
        assert_ne!(part.pid().unwrap(), before);
    }
    let get = http
        .get(format!("{}/v1.0/state/statestore/greeting", sidecar.http_endpoint()))
        .header("dapr-api-token", sidecar.api_token())
        .send()
        .await
        .unwrap();
    assert_eq!(get.text().await.unwrap(), "\"hello\"", "what was acknowledged is there after a kill");
    assert_eq!(sidecar.part().status().phase, Phase::Healthy);
    let moment = Instant::now();
    stack.stop().await;
    eprintln!("stopped in {:?}", moment.elapsed());
}
