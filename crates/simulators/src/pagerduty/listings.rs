//! Lists and their pages; services and users.

use serde_json::{Value, json};

use super::account::Account;
use super::call::{Answer, Call, Refusal};

/// What pages are asked with.
pub(super) const PAGING: [&str; 3] = ["limit", "offset", "total"];

/// One page of a list: 25 entries unless said, at most 100, and nothing beyond the first 10,000.
pub(super) fn page<T>(call: &Call<'_>, field: &str, all: &[T], show: impl Fn(&T) -> Value) -> Answer {
    let number = |name: &str, default: usize| match call.one(name).map(str::parse::<usize>) {
        None => Ok(default),
        Some(Ok(number)) => Ok(number),
        Some(Err(_)) => Err(Refusal::input(format!("{name} must be a whole number"))),
    };
    let (limit, offset) = (number("limit", 25)?.min(100), number("offset", 0)?);
    if limit == 0 {
        return Err(Refusal::input("limit must be greater than 0"));
    }
    if offset + limit > 10_000 {
        return Err(Refusal::input("Offset must be less than or equal to 10000 minus limit"));
    }
    let total = match call.one("total") {
        None | Some("false") => Value::Null,
        Some("true") => Value::from(all.len()),
        Some(_) => return Err(Refusal::input("total must be true or false")),
    };
    let shown: Vec<Value> = all.iter().skip(offset).take(limit).map(show).collect();
    let more = offset + shown.len() < all.len();
    Ok((200, json!({field: shown, "limit": limit, "offset": offset, "more": more, "total": total})))
}

/// `GET /services`: `query` is a part of the name, `name` the whole of it.
pub(super) fn services(account: &mut Account, call: &Call<'_>) -> Answer {
    call.only(&[&PAGING[..], &["query", "name", "sort_by"]].concat())?;
    let query = call.one("query").unwrap_or_default().to_lowercase();
    let mut services: Vec<_> = account
        .services
        .iter()
        .filter(|s| s.name.to_lowercase().contains(&query) && call.one("name").is_none_or(|name| s.name == name))
        .collect();
    match call.one("sort_by").unwrap_or("name") {
        "name" | "name:asc" => services.sort_by(|a, b| a.name.cmp(&b.name)),
        "name:desc" => services.sort_by(|a, b| b.name.cmp(&a.name)),
        _ => return Err(Refusal::input("sort_by must be name, name:asc or name:desc")),
    }
    page(call, "services", &services, |service| account.service_json(service))
}

/// `GET /services/{id}`.
pub(super) fn service(account: &mut Account, call: &Call<'_>) -> Answer {
    call.only(&[])?;
    let service = account.service(call.path[1]).ok_or_else(Refusal::not_found)?;
    Ok((200, json!({"service": account.service_json(service)})))
}

/// `GET /users`: `query` is a part of the name or address.
pub(super) fn users(account: &mut Account, call: &Call<'_>) -> Answer {
    call.only(&[&PAGING[..], &["query"]].concat())?;
    let query = call.one("query").unwrap_or_default().to_lowercase();
    let matches = |text: &str| text.to_lowercase().contains(&query);
    let users: Vec<_> = account.users.iter().filter(|u| matches(&u.name) || matches(&u.email)).collect();
    page(call, "users", &users, |user| account.user_json(user))
}
