//! Who the page is, and what it may ask of the machine: our own page, and of devices the camera alone.

use tauri::Url;
use tauri::webview::{PermissionKind, PermissionResponse};

/// True for the pages inside of this binary; in development builds also for the development server's.
pub fn is_ours(url: &Url) -> bool {
    let host = url.host_str();
    match url.scheme() {
        "tauri" => host == Some("localhost"),
        // How Windows and Android spell it.
        "http" | "https" if host == Some("tauri.localhost") => true,
        "http" => tauri::is_dev() && host == Some("localhost") && url.port() == Some(5173),
        _ => false,
    }
}

/// The camera for our own page; no microphone, no position, no notifications, no screen, whoever asks.
pub fn may_use(kind: PermissionKind, page: Option<&Url>) -> PermissionResponse {
    match kind {
        PermissionKind::Camera if page.is_some_and(is_ours) => PermissionResponse::Allow,
        _ => PermissionResponse::Deny,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn url(text: &str) -> Url {
        Url::parse(text).unwrap()
    }

    #[test]
    fn only_the_page_of_the_app_is_ours() {
        for ours in ["tauri://localhost", "tauri://localhost/index.html", "http://tauri.localhost/"] {
            assert!(is_ours(&url(ours)), "{ours}");
        }
        for foreign in [
            "https://example.com/",
            "tauri://elsewhere/",
            "http://tauri.localhost.example.com/",
            "http://localhost:8080/",
            "file:///etc/passwd",
            "data:text/html,x",
            "about:blank",
        ] {
            assert!(!is_ours(&url(foreign)), "{foreign}");
        }
    }

    #[test]
    fn the_camera_is_for_our_page_and_nothing_else_for_anybody() {
        let ours = url("tauri://localhost/");
        assert_eq!(may_use(PermissionKind::Camera, Some(&ours)), PermissionResponse::Allow);
        assert_eq!(
            may_use(PermissionKind::Camera, Some(&url("https://example.com/"))),
            PermissionResponse::Deny
        );
        assert_eq!(may_use(PermissionKind::Camera, None), PermissionResponse::Deny);
        for kind in [
            PermissionKind::Microphone,
            PermissionKind::Geolocation,
            PermissionKind::Notifications,
            PermissionKind::ClipboardRead,
            PermissionKind::DisplayCapture,
            PermissionKind::Midi,
            PermissionKind::Sensors,
        ] {
            assert_eq!(may_use(kind, Some(&ours)), PermissionResponse::Deny, "{kind:?}");
        }
    }
}
