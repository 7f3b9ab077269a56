//! ntfy: "Publish as JSON", "Message priority", "Access tokens" and "Limitations" of its documentation (docs.ntfy.sh/publish).

use serde_json::{Value, json};

use super::*;

const ACCEPTED: Answer = Answer::Http(
    200,
    "content-type: application/json\r\n",
    r#"{"id":"sPs71M8A2T","time":1700000000,"expires":1700043200,"event":"message","topic":"alerts","message":"x"}"#,
);

#[tokio::test]
async fn it_is_told_as_documented_and_every_answer_has_its_meaning() {
    let cases = [
        Case {
            channel: "accepts",
            answer: |_| ACCEPTED,
            outcome: "accepted 200 may have arrived",
            why: "",
        },
        Case {
            channel: "broken",
            answer: |_| {
                Answer::Http(
                    500,
                    "",
                    r#"{"code":50001,"http":500,"error":"internal server error"}"#,
                )
            },
            outcome: "pending 500 may have arrived",
            why: "internal server error",
        },
        Case {
            channel: "busy",
            answer: |_| {
                Answer::Http(
                    429,
                    "retry-after: 35\r\n",
                    r#"{"code":42901,"http":429,"error":"limit reached: too many requests"}"#,
                )
            },
            outcome: "pending 429 lost wait 35",
            why: "too many requests",
        },
        Case {
            channel: "busy_and_short",
            answer: |_| Answer::Http(429, "", r#"{"code":42908,"http":429}"#),
            outcome: "pending 429 lost wait 5",
            why: "the receiver answered 429",
        },
        Case {
            channel: "forbidden",
            answer: |_| Answer::Http(403, "", r#"{"code":40301,"http":403,"error":"forbidden"}"#),
            outcome: "refused 403 lost",
            why: "forbidden",
        },
        Case {
            channel: "garbage",
            answer: |_| Answer::Garbage,
            outcome: "pending - may have arrived",
            why: "invalid HTTP",
        },
        Case {
            channel: "hangs",
            answer: |_| Answer::Never,
            outcome: "pending - may have arrived",
            why: "no answer within 1 s",
        },
        Case {
            channel: "not_found",
            answer: |_| {
                Answer::Http(
                    404,
                    "",
                    r#"{"code":40401,"http":404,"error":"page not found"}"#,
                )
            },
            outcome: "refused 404 lost",
            why: "page not found",
        },
        // somebody in between, such as a portal that wants a login
        Case {
            channel: "portal",
            answer: |_| Answer::Http(200, "", "<html>please log in</html>"),
            outcome: "pending 200 may have arrived",
            why: "please log in",
        },
        Case {
            channel: "resets",
            answer: |_| Answer::Reset,
            outcome: "pending - may have arrived",
            why: "error sending request",
        },
        Case {
            channel: "too_large",
            answer: |_| Answer::Http(413, "", r#"{"code":41303,"http":413}"#),
            outcome: "refused 413 lost",
            why: "the receiver answered 413",
        },
        Case {
            channel: "unauthorized",
            answer: |_| {
                Answer::Http(
                    401,
                    "",
                    r#"{"code":40101,"http":401,"error":"unauthorized"}"#,
                )
            },
            outcome: "refused 401 lost",
            why: "unauthorized",
        },
        // some receivers repeat what they were asked
        Case {
            channel: "wrong_topic",
            answer: |_| {
                Answer::Http(
                    400,
                    "",
                    r#"{"code":40009,"http":400,"error":"topic_of_wrong_topic is invalid"}"#,
                )
            },
            outcome: "refused 400 lost",
            why: "(hidden) is invalid",
        },
    ];
    let is_resolve = |request: &Request| request.json()["tags"][0] == "white_check_mark";
    let heard = play(&cases, is_resolve, ACCEPTED, |i, name, url| {
        let i = i
            .set("api.public_url", "https://stalker.example")
            .set(&format!("channels.{name}.provider"), "ntfy")
            .set(&format!("channels.{name}.url"), url)
            .set(
                &format!("channels.{name}.topic"),
                format!("topic_of_{name}"),
            );
        if name == "accepts" {
            i.set(
                &format!("channels.{name}.token"),
                "tk_AgQdq7mVBoFD37zQVN29RhuMzNIz2",
            )
        } else {
            i
        }
    })
    .await;

    for (case, heard) in cases.iter().zip(&heard) {
        for request in heard {
            assert_eq!(
                (request.method.as_str(), request.path.as_str()),
                ("POST", "/")
            );
            assert_eq!(request.header("content-type"), "application/json");
            let token = match case.channel {
                "accepts" => "Bearer tk_AgQdq7mVBoFD37zQVN29RhuMzNIz2",
                _ => "",
            };
            assert_eq!(request.header("authorization"), token);
            let topic = format!("topic_of_{}", case.channel);
            assert_eq!(request.json()["topic"], topic);
        }
    }
    let [trigger, resolve] = &heard[0][..] else {
        panic!("one trigger and one resolve: {:?}", heard[0])
    };
    let page = "https://stalker.example/#/hosts/web1/checks/check_a";
    let is_told = |request: &Request, message: &str, others: Value| {
        let mut body = request.json();
        let text = body["message"].take();
        let text = text.as_str().unwrap_or_default();
        assert!(text.starts_with(message) && text.ends_with(page), "{text}");
        assert_eq!(body, others);
    };
    is_told(
        trigger,
        "CRITICAL - broken\nsince ",
        json!({
            "topic": "topic_of_accepts",
            "title": "check_a on web1 is critical",
            "message": null,
            "priority": 5,
            "tags": ["rotating_light", "critical"],
            "click": page,
        }),
    );
    is_told(
        resolve,
        "since ",
        json!({
            "topic": "topic_of_accepts",
            "title": "check_a on web1 is ok again",
            "message": null,
            "priority": 3,
            "tags": ["white_check_mark", "critical"],
            "click": page,
        }),
    );
}
