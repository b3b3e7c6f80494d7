//! What a client takes for an answer.

use http::{HeaderMap, header};
use tidemark_api::{Reason, Refusal};

/// Refuses a request whose client takes no JSON (RFC 9110, 12.5.1). Who does not say takes everything.
pub fn check(headers: &HeaderMap) -> Result<(), Refusal> {
    let lines = headers.get_all(header::ACCEPT).iter().filter_map(|line| line.to_str().ok());
    let ranges: Vec<(&str, f32)> = lines.flat_map(|line| line.split(',')).filter_map(range).collect();
    // The most exact range decides.
    let decides = ["application/json", "application/*", "*/*"]
        .into_iter()
        .find_map(|wanted| ranges.iter().find(|(range, _)| range.eq_ignore_ascii_case(wanted)));
    if ranges.is_empty() || decides.is_some_and(|(_, weight)| *weight > 0.0) {
        return Ok(());
    }
    Err(Refusal::new(Reason::NotAcceptable, "answers are application/json, which Accept leaves out"))
}

/// A media range and how much it is wanted. What is none says nothing.
fn range(text: &str) -> Option<(&str, f32)> {
    let mut parts = text.split(';').map(str::trim);
    let range = parts.next().filter(|range| range.contains('/'))?;
    let weight = parts.find_map(|parameter| {
        let (name, value) = parameter.split_once('=')?;
        name.eq_ignore_ascii_case("q").then(|| value.parse().ok()).flatten()
    });
    Some((range, weight.unwrap_or(1.0)))
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;
    use proptest::prelude::*;

    use super::*;

    fn takes(lines: &[&'static str]) -> bool {
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append(header::ACCEPT, HeaderValue::from_static(line));
        }
        check(&headers).is_ok()
    }

    #[test]
    fn who_leaves_json_out_is_refused() {
        for wanted in [
            &[][..],
            &[""],
            &["application/json"],
            &["Application/JSON; charset=utf-8; q=0.1"],
            &["application/*"],
            &["text/html, */*;q=0.8"],
            &["text/html", "*/*"],
            &["application/json, */*;q=0"],
            &["nonsense"],
        ] {
            assert!(takes(wanted), "{wanted:?}");
        }
        for unwanted in [
            &["text/html"][..],
            &["application/xml, text/*"],
            &["application/json;q=0, */*"],
            &["application/json;Q=0.0"],
            &["application/*;q=0, */*"],
        ] {
            assert!(!takes(unwanted), "{unwanted:?}");
        }
    }

    proptest! {
        #[test]
        fn any_accept_is_read_or_refused(lines in prop::collection::vec(r"[ -~\u{80}-\u{ff}]{0,30}|([*/;=q., 01]|json|application){0,9}", 0..3)) {
            let mut headers = HeaderMap::new();
            for line in lines {
                headers.append(header::ACCEPT, HeaderValue::from_str(&line).unwrap());
            }
            if let Err(refusal) = check(&headers) {
                prop_assert_eq!(refusal.reason(), Reason::NotAcceptable);
            }
        }
    }
}
