//! Debian's chromium under its driver: windows, keys, and questions to a page.
//!
//! A question is an expression of JavaScript; [`Browser::until`] asks it again until it is true, and fails with what the page
//! showed. It refuses to know our pages. The driver and the browser are processes of their own and end with the value.

use fantoccini::wd::{Capabilities, WindowHandle};
use fantoccini::{Client, ClientBuilder, Locator};
use hyper_util::client::legacy::connect::HttpConnector;
use serde_json::{Value, json};
use std::os::unix::fs::MetadataExt;
use std::process::Stdio;
use std::time::{Duration, Instant};
use tokio::net::TcpListener;
use tokio::process::{Child, Command};

/// Longest time that anything may take before a test gives up: a guard against hanging, never a measure.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// A browser with at least one window.
pub struct Browser {
    _driver: Child,
    client: Client,
}

async fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    listener.local_addr().expect("an address").port()
}

impl Browser {
    /// Starts one, with a window of this size and the browser's further arguments.
    pub async fn start(width: u32, height: u32, further: &[&str]) -> Self {
        let port = free_port().await;
        let mut command = Command::new("chromedriver");
        command.arg(format!("--port={port}")).stdout(Stdio::null()).stderr(Stdio::null()).kill_on_drop(true);
        let driver = command.spawn().expect("chromedriver runs: install chromium and chromium-driver");
        let mut arguments = vec!["--headless=new".into(), "--disable-dev-shm-usage".into(), "--disable-gpu".into()];
        arguments.extend([format!("--window-size={width},{height}"), "--lang=en".into()]);
        arguments.extend(further.iter().map(|one| (*one).to_owned()));
        // Its sandbox does not start for the superuser; anybody else keeps it.
        if std::fs::metadata("/proc/self").is_ok_and(|own| own.uid() == 0) {
            arguments.push("--no-sandbox".into());
        }
        let mut wanted = Capabilities::new();
        let mut options = json!({ "args": arguments });
        if width < 500 {
            // No window is that narrow; a telephone is.
            options["mobileEmulation"] = json!({ "deviceMetrics": { "width": width, "height": height, "pixelRatio": 1.0 } });
        }
        wanted.insert("goog:chromeOptions".into(), options);
        let begun = Instant::now();
        let client = loop {
            // The driver listens a moment after it starts.
            let mut builder = ClientBuilder::new(HttpConnector::new());
            match builder.capabilities(wanted.clone()).connect(&format!("http://127.0.0.1:{port}")).await {
                Ok(client) => break client,
                Err(error) if begun.elapsed() > PATIENCE => panic!("no browser: {error}"),
                Err(_) => tokio::task::yield_now().await,
            }
        };
        Self { _driver: driver, client }
    }

    /// Opens an address in the current window.
    pub async fn go(&self, address: &str) {
        self.client.goto(address).await.unwrap_or_else(|error| panic!("{address}: {error}"));
    }

    /// Loads the page again.
    pub async fn reload(&self) {
        self.client.refresh().await.expect("a page to load again");
    }

    /// The value of an expression.
    pub async fn ask(&self, expression: &str) -> Value {
        self.run(&format!("return {expression}"), Vec::new()).await
    }

    /// Runs a function's body with arguments.
    pub async fn run(&self, body: &str, arguments: Vec<Value>) -> Value {
        self.client.execute(body, arguments).await.unwrap_or_else(|error| panic!("{body}: {error}"))
    }

    /// Waits until an expression is true.
    pub async fn until(&self, expression: &str) -> Value {
        let begun = Instant::now();
        while begun.elapsed() < PATIENCE {
            let value = self.ask(expression).await;
            let is_false = matches!(&value, Value::Null | Value::Bool(false)) || value == json!(0) || value == json!("");
            if !is_false {
                return value;
            }
            // Paces: asks again, and leaves the page some of the processor.
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        let shown = self.ask("document.body.innerText").await;
        panic!("never: {expression}; the page shows: {shown}");
    }

    /// Types into the element that a selector names, once it is there.
    pub async fn keys(&self, selector: &str, keys: &str) {
        self.until(&format!("document.querySelector({selector:?})")).await;
        let element = self.client.find(Locator::Css(selector)).await.unwrap_or_else(|error| panic!("{selector}: {error}"));
        element.send_keys(keys).await.unwrap_or_else(|error| panic!("{selector}: {error}"));
    }

    /// Presses the element that a selector names, once it is there.
    pub async fn press(&self, selector: &str) {
        self.until(&format!("document.querySelector({selector:?})")).await;
        let element = self.client.find(Locator::Css(selector)).await.unwrap_or_else(|error| panic!("{selector}: {error}"));
        element.click().await.unwrap_or_else(|error| panic!("{selector}: {error}"));
    }

    /// The current window.
    pub async fn window(&self) -> WindowHandle {
        self.client.window().await.expect("a window")
    }

    /// A window (or a tab) more, which is then the current one.
    pub async fn another(&self, is_tab: bool) -> WindowHandle {
        let made = self.client.new_window(is_tab).await.expect("a window");
        self.switch(&made.handle).await;
        made.handle
    }

    /// Makes a window the current one.
    pub async fn switch(&self, window: &WindowHandle) {
        self.client.switch_to_window(window.clone()).await.expect("the window is there");
    }

    /// Sets the window's size.
    pub async fn size(&self, width: u32, height: u32) {
        self.client.set_window_size(width, height).await.expect("a size");
    }

    /// What the window shows, as PNG.
    pub async fn picture(&self) -> Vec<u8> {
        self.client.screenshot().await.expect("a picture")
    }

    /// Ends the browser.
    pub async fn end(self) {
        let _ = self.client.close().await;
    }
}
