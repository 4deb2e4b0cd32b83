//! Evenkeel as the edge: it answers visitors from its cache, until the application purges what has changed.

use reqwest::{Method, Response, StatusCode};
use serde_json::{Value, json};

use crate::client::{Client, eventually};

/// Changes a photo of `author` in each way that visitors notice. The answer before each change comes from Evenkeel's cache, and the
/// first one after it shows the change. The photo is deleted at the end.
pub async fn visitors_see_each_change_at_once(visitor: &Client, author: &Client, photo: &Value) {
    let name = photo["author"]["name"].as_str().unwrap();
    let (profile, photos) = (format!("/api/v1/users/{name}"), format!("/api/v1/users/{name}/photos"));
    let picture = photo["urls"]["small"].as_str().unwrap();
    let id = &photo["id"];
    let photo = format!("/api/v1/photos/{}", id.as_str().unwrap());
    let comments = format!("{photo}/comments");
    let counted = kept(visitor, &profile).await["photos"].as_u64().unwrap();

    let before = kept_all(visitor, &[&photo, &photos, &comments]).await;
    let text = json!({ "text": "A comment that visitors see" });
    let made = author.send(Method::POST, &comments, |request| request.json(&text)).await;
    let made: Value = expect(made, StatusCode::CREATED).json().await.unwrap();
    assert_eq!(visitor.json(&comments).await["comments"][0]["id"], made["id"]);
    let number = before[0]["comments"].as_u64().unwrap() + 1;
    assert_eq!(visitor.json(&photo).await["comments"], number);
    assert_eq!(entry(&visitor.json(&photos).await, id).unwrap()["comments"], number);

    kept_all(visitor, &[&photo, &photos, &comments]).await;
    let comment = format!("{comments}/{}", made["id"].as_str().unwrap());
    expect(author.send(Method::DELETE, &comment, |request| request).await, StatusCode::NO_CONTENT);
    for (path, old) in [&photo, &photos, &comments].into_iter().zip(&before) {
        assert_eq!(&visitor.json(path).await, old, "{path} after the comment was deleted");
    }

    kept_all(visitor, &[&profile, &photo]).await;
    let renamed = json!({ "display_name": "Another name", "bio": "" });
    expect(author.send(Method::PUT, "/api/v1/me", |request| request.json(&renamed)).await, StatusCode::OK);
    assert_eq!(visitor.json(&profile).await["display_name"], "Another name");
    assert_eq!(visitor.json(&photo).await["author"]["display_name"], "Another name");

    kept_all(visitor, &[&profile, &photos, &photo, &comments]).await;
    eventually("Evenkeel keeps the picture", || async { is_kept(&visitor.get(picture).await).then_some(()) })
        .await;
    expect(author.send(Method::DELETE, &photo, |request| request).await, StatusCode::NO_CONTENT);
    for path in [&*photo, &*comments, picture] {
        assert_eq!(visitor.get(path).await.status(), StatusCode::NOT_FOUND, "{path} of a deleted photo");
    }
    assert_eq!(entry(&visitor.json(&photos).await, id), None);
    assert_eq!(visitor.json(&profile).await["photos"], counted - 1);
}

/// Reads a path until the answer comes from Evenkeel's cache.
async fn kept(visitor: &Client, path: &str) -> Value {
    eventually(&format!("Evenkeel keeps {path}"), || async {
        let response = expect(visitor.get(path).await, StatusCode::OK);
        if is_kept(&response) { Some(response.json().await.unwrap()) } else { None }
    })
    .await
}

async fn kept_all(visitor: &Client, paths: &[&String]) -> Vec<Value> {
    let mut answers = Vec::new();
    for path in paths {
        answers.push(kept(visitor, path).await);
    }
    answers
}

fn is_kept(response: &Response) -> bool {
    let status = response.headers().get("cache-status");
    status.is_some_and(|status| status.to_str().unwrap().contains("; hit"))
}

fn expect(response: Response, status: StatusCode) -> Response {
    assert_eq!(response.status(), status, "{}", response.url());
    response
}

/// A photo in a list.
fn entry<'a>(list: &'a Value, id: &Value) -> Option<&'a Value> {
    list["photos"].as_array().unwrap().iter().find(|photo| photo["id"] == *id)
}
