//! One run of the app, and what a steward does with it.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use fantoccini::elements::{Element, ElementRef};
use fantoccini::{Client, ClientBuilder, Locator};
use hyper_util::client::legacy::connect::HttpConnector;
use rustix::process::Signal;
use serde::Deserialize;
use serde_json::{Value, json};

use super::process::{Kept, family, lives, signal};
use super::room::Room;
use super::{keys, memory};
use crate::{until, until_within};

/// Between two keys of the reader.
const KEY_GAP: Duration = Duration::from_millis(2);
/// How long the app may take from its start to its page.
const START: Duration = Duration::from_secs(60);

/// A click that takes longer was made, but its element is gone.
const CLICK: Duration = Duration::from_secs(5);

const BUTTONS: &str = "button, summary, [role=tab], label.choice";
const FIELDS: &str = "input, textarea, select";

/// What the app is started with.
#[derive(Debug, Clone)]
pub struct Setup {
    pub program: PathBuf,
    pub data: PathBuf,
    /// Dialled instead of the server's address.
    pub connect: String,
}

impl Setup {
    /// The app beside this program.
    ///
    /// # Errors
    /// If it was not built.
    pub fn new(data: &Path, connect: impl ToString) -> Result<Self> {
        Ok(Self { program: program()?, data: data.to_owned(), connect: connect.to_string() })
    }

    /// Told to the app.
    #[must_use]
    pub fn environment(&self) -> [(&str, &OsStr); 2] {
        [("HVFLVSPOT_GATE_DATA", self.data.as_os_str()), ("HVFLVSPOT_GATE_CONNECT", self.connect.as_ref())]
    }
}

/// `GATE_APP`, else the app beside this program (or beside the folder of tests that it stands in).
fn program() -> Result<PathBuf> {
    if let Some(path) = std::env::var_os("GATE_APP") {
        return Ok(path.into());
    }
    let exe = std::env::current_exe()?;
    let mut beside = exe.ancestors().skip(1).take(2).map(|folder| folder.join("hvflvspot-gate"));
    beside.find(|path| path.is_file()).context("the app is not built: see scripts/third/window")
}

/// The running app. It is killed with the value.
#[derive(Debug)]
pub struct Window {
    client: Client,
    app: u32,
    room: Arc<Room>,
    _driver: Kept,
    /// Answers that were looked at.
    looked_at: usize,
    last_read: String,
}

/// An answer as it was shown.
#[derive(Debug, Clone, Deserialize)]
pub struct Seen {
    pub tone: String,
    pub word: String,
    pub text: String,
    /// `log_no:seq`; absent if it is not recorded.
    pub place: Option<String>,
    /// When it stood in the page, milliseconds since 1970.
    pub made_at: f64,
    /// When the second frame after it began.
    pub painted_at: f64,
}

impl Window {
    /// Starts the app and waits for its page.
    ///
    /// # Errors
    /// If it does not come up.
    pub async fn open(room: &Arc<Room>, setup: &Setup) -> Result<Self> {
        let port = free_port()?;
        let mut command = room.command("WebKitWebDriver");
        command
            .arg(format!("--port={port}"))
            .env("TAURI_WEBVIEW_AUTOMATION", "true")
            .envs(setup.environment());
        let driver = Kept::start(&mut command)?;
        let id = driver.id().context("the driver ended at once")?;
        let address = format!("127.0.0.1:{port}");
        until("the driver listens", async || Ok(tokio::net::TcpStream::connect(&address).await.is_ok()))
            .await?;
        let wanted = json!({ "webkitgtk:browserOptions": { "binary": setup.program, "args": [] } });
        let Value::Object(wanted) = wanted else { bail!("capabilities are an object") };
        let mut builder = ClientBuilder::new(HttpConnector::new());
        let started = async { builder.capabilities(wanted).connect(&format!("http://{address}")).await };
        let started = tokio::time::timeout(START, started).await;
        let app = family(id).get(1).copied();
        let leave_nothing = || app.into_iter().flat_map(family).for_each(|id| signal(id, Signal::KILL));
        let client = match started {
            Ok(Ok(client)) => client,
            Ok(Err(error)) => {
                leave_nothing();
                return Err(error).context("the app does not come up");
            }
            Err(late) => {
                leave_nothing();
                return Err(late).context("the app does not come up in time");
            }
        };
        let app = app.context("the driver has started nothing")?;
        let window = Self {
            client,
            app,
            room: Arc::clone(room),
            _driver: driver,
            looked_at: 0,
            last_read: String::new(),
        };
        until_within("the page is there", START, async || {
            let ready = "return document.readyState === 'complete' && document.querySelector('[data-testid=window]') !== null";
            Ok(window.client.execute(ready, vec![]).await.is_ok_and(|yes| yes == true))
        })
        .await?;
        window.client.execute(include_str!("look.js"), vec![]).await?;
        Ok(window)
    }

    /// WebDriver itself.
    #[must_use]
    pub const fn driver(&self) -> &Client {
        &self.client
    }

    /// Process id of the app.
    #[must_use]
    pub const fn pid(&self) -> u32 {
        self.app
    }

    /// The app and all its processes.
    #[must_use]
    pub fn family(&self) -> Vec<u32> {
        family(self.app)
    }

    /// Resident memory of all its processes, each shared page divided by its users, in bytes.
    ///
    /// # Errors
    /// If the system does not tell.
    pub fn memory(&self) -> Result<u64> {
        memory::of(self.app)
    }

    /// Asks the core itself, as the page does.
    ///
    /// # Errors
    /// If it refuses.
    pub async fn ask(&self, command: &str, args: Value) -> Result<Value> {
        let script = "const [command, args, done] = arguments;
            window.__TAURI_INTERNALS__.invoke(command, args).then((ok) => done({ ok }), (error) => done({ error }));";
        let answer = self.client.execute_async(script, vec![json!(command), args]).await?;
        ensure!(answer.get("error").is_none_or(Value::is_null), "{command}: {}", answer["error"]);
        Ok(answer["ok"].clone())
    }

    /// Runs a script in the page.
    ///
    /// # Errors
    /// If it throws.
    pub async fn execute(&self, script: &str, args: Vec<Value>) -> Result<Value> {
        Ok(self.client.execute(script, args).await?)
    }

    async fn find(&self, name: &str, kinds: &str) -> Result<Option<Element>> {
        let found = self.client.execute(include_str!("find.js"), vec![json!(name), json!(kinds)]).await?;
        let id = found.as_object().and_then(|o| o.values().next()).and_then(Value::as_str);
        Ok(id.map(|id| Element::from_element_id(self.client.clone(), ElementRef::from(id.to_owned()))))
    }

    /// True if the page heard it. An element may move or go in this moment, before the click or by it: the driver calls
    /// both a failure, or never answers.
    async fn click(&self, element: &Element) -> Result<bool> {
        let clicks = "return window.__clicks";
        let before = self.execute(clicks, vec![]).await?;
        let clicked = tokio::time::timeout(CLICK, element.click()).await;
        Ok(matches!(clicked, Ok(Ok(()))) || self.execute(clicks, vec![]).await? != before)
    }

    /// Clicks what people would call so, once it can be reached.
    ///
    /// # Errors
    /// If it cannot in time.
    pub async fn press(&self, name: &str) -> Result<()> {
        until(&format!("“{name}” can be pressed"), async || {
            let Some(button) = self.find(name, BUTTONS).await? else { return Ok(false) };
            self.click(&button).await
        })
        .await
    }

    /// Clicks the first such element, once it can be reached.
    ///
    /// # Errors
    /// If it cannot in time.
    pub async fn press_element(&self, css: &str) -> Result<()> {
        until(&format!("{css} can be pressed"), async || {
            let Ok(element) = self.client.find(Locator::Css(css)).await else { return Ok(false) };
            self.click(&element).await
        })
        .await
    }

    /// A field, once it can be reached.
    ///
    /// # Errors
    /// If it cannot in time.
    pub async fn field(&self, name: &str) -> Result<Element> {
        let mut found = None;
        until(&format!("there is a field “{name}”"), async || {
            found = self.find(name, FIELDS).await?;
            Ok(found.is_some())
        })
        .await?;
        found.context("it was found")
    }

    /// Types into a field as slowly as people do, so that it is no reader's work.
    ///
    /// # Errors
    /// If it cannot.
    pub async fn type_into(&self, name: &str, text: &str) -> Result<()> {
        let field = self.field(name).await?;
        // Clearing takes the keyboard away.
        field.clear().await?;
        field.click().await?;
        for character in text.chars() {
            field.send_keys(&character.to_string()).await?;
        }
        Ok(())
    }

    /// Pastes into a field by Ctrl+V.
    ///
    /// # Errors
    /// If it cannot.
    pub async fn paste_into(&self, name: &str, text: &str) -> Result<()> {
        let field = self.field(name).await?;
        // Clearing takes the keyboard away.
        field.clear().await?;
        field.click().await?;
        self.paste(text).await?;
        let mut held = None;
        let what = format!("it is pasted into “{name}”");
        let pasted = until(&what, async || {
            held = field.prop("value").await?;
            Ok(held.as_deref() == Some(text.trim()))
        });
        pasted.await.with_context(|| format!("it holds {held:?}"))
    }

    /// Ctrl+V, wherever the keyboard is.
    ///
    /// # Errors
    /// If it cannot.
    pub async fn paste(&self, text: &str) -> Result<()> {
        self.room.copy(text).await?;
        self.room.keyboard().press(&["Control", "v"]).map(drop)
    }

    /// A key through the X server.
    ///
    /// # Errors
    /// If it cannot.
    pub fn key(&self, name: &str) -> Result<()> {
        self.room.keyboard().press(&[name]).map(drop)
    }

    /// Enters a PIN on the pad.
    ///
    /// # Errors
    /// If there is none.
    pub async fn enter_pin(&self, pin: &str) -> Result<()> {
        for digit in pin.chars() {
            self.press(&digit.to_string()).await?;
        }
        self.press("Unlock").await
    }

    /// All words of the page; of a screen reader's too.
    ///
    /// # Errors
    /// If the app is gone.
    pub async fn words(&self) -> Result<String> {
        let words = self.client.execute("return document.body.innerText", vec![]).await?;
        Ok(words.as_str().unwrap_or_default().to_owned())
    }

    /// Waits until the page says so, in whatever case.
    ///
    /// # Errors
    /// If it does not in time; tells what it says instead.
    pub async fn see(&self, words: &str) -> Result<()> {
        let wanted = words.to_lowercase();
        let mut said = String::new();
        let what = format!("the window says “{words}”");
        let seen = until(&what, async || {
            said = self.words().await?;
            Ok(said.to_lowercase().contains(&wanted))
        });
        seen.await.with_context(|| format!("it says: {said}"))
    }

    /// Waits until something stands in the page.
    ///
    /// # Errors
    /// If it does not in time.
    pub async fn see_element(&self, css: &str) -> Result<()> {
        until(&format!("there is {css}"), async || self.has(css).await).await
    }

    /// Whether something stands in the page.
    ///
    /// # Errors
    /// If the app is gone.
    pub async fn has(&self, css: &str) -> Result<bool> {
        let found =
            self.client.execute("return document.querySelector(arguments[0]) !== null", vec![json!(css)]);
        Ok(found.await? == true)
    }

    /// Text of the first such element; empty if there is none.
    ///
    /// # Errors
    /// If the app is gone.
    pub async fn text_of(&self, css: &str) -> Result<String> {
        let script = "return document.querySelector(arguments[0])?.innerText ?? ''";
        let text = self.client.execute(script, vec![json!(css)]).await?;
        Ok(text.as_str().unwrap_or_default().trim().to_owned())
    }

    /// The same code again within a second is the same pull of the trigger: waits until it would not be.
    async fn let_go(&mut self, code: &str) -> Result<()> {
        if std::mem::replace(&mut self.last_read, code.to_owned()) != code {
            return Ok(());
        }
        let over = "return performance.now() - window.__readAt > 1100";
        until("the trigger was let go", async || Ok(self.execute(over, vec![]).await? == true)).await
    }

    /// Reads a code by WebDriver's keys and waits for its answer.
    ///
    /// # Errors
    /// If none comes.
    pub async fn scan(&mut self, code: &str) -> Result<Seen> {
        self.let_go(code).await?;
        self.client.perform_actions(keys::strokes(code, KEY_GAP)).await?;
        self.answer().await
    }

    /// Reads a code by keys of the X server and waits for its answer.
    ///
    /// # Errors
    /// If none comes.
    pub async fn scan_plugged(&mut self, code: &str) -> Result<Seen> {
        self.let_go(code).await?;
        self.room.keyboard().read(code, KEY_GAP).await?;
        self.answer().await
    }

    /// The next answer that nobody has looked at, painted.
    ///
    /// # Errors
    /// If none comes in time.
    pub async fn answer(&mut self) -> Result<Seen> {
        let script =
            "const seen = window.__seen[arguments[0]]; return seen && seen.painted_at !== null ? seen : null";
        let mut seen = Value::Null;
        until("there is an answer", async || {
            seen = self.client.execute(script, vec![json!(self.looked_at)]).await?;
            Ok(!seen.is_null())
        })
        .await?;
        self.looked_at += 1;
        Ok(serde_json::from_value(seen)?)
    }

    /// How many answers were shown since the start.
    ///
    /// # Errors
    /// If the app is gone.
    pub async fn answers(&self) -> Result<u64> {
        Ok(self.client.execute("return window.__seen.length", vec![]).await?.as_u64().unwrap_or(0))
    }

    /// Forgets what nobody has looked at.
    ///
    /// # Errors
    /// If the app is gone.
    pub async fn look_away(&mut self) -> Result<()> {
        self.looked_at = usize::try_from(self.answers().await?)?;
        Ok(())
    }

    /// Keeps a picture, if the environment's `SCREENSHOTS` names a folder for them.
    ///
    /// # Errors
    /// If it cannot be taken.
    pub async fn picture(&self, name: &str) -> Result<()> {
        let Some(folder) = std::env::var_os("SCREENSHOTS") else { return Ok(()) };
        let drawn =
            "const done = arguments[0]; requestAnimationFrame(() => requestAnimationFrame(() => done(true)))";
        self.client.execute_async(drawn, vec![]).await?;
        let picture = self.client.screenshot().await?;
        std::fs::create_dir_all(&folder)?;
        std::fs::write(Path::new(&folder).join(format!("{name}.png")), picture)?;
        Ok(())
    }

    /// Closes the window as people do, and waits for the end of all its processes.
    ///
    /// # Errors
    /// If it lives on.
    pub async fn close(&self) -> Result<()> {
        let family = family(self.app);
        self.room.keyboard().press(&["Alt", "F4"])?;
        until("the app ends with its window", async || Ok(!family.iter().any(|id| lives(*id)))).await
    }

    /// Lets it stand still: it hears nothing and answers nothing, and lives.
    pub fn freeze(&self) {
        family(self.app).iter().for_each(|id| signal(*id, Signal::STOP));
    }

    /// Ends it as a power cut would.
    ///
    /// # Errors
    /// If it lives on.
    pub async fn kill(&self) -> Result<()> {
        let family = family(self.app);
        family.iter().for_each(|id| signal(*id, Signal::KILL));
        until("the app is gone", async || Ok(!family.iter().any(|id| lives(*id)))).await
    }
}

impl Drop for Window {
    fn drop(&mut self) {
        for id in family(self.app) {
            signal(id, Signal::KILL);
        }
    }
}

fn free_port() -> Result<u16> {
    Ok(std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?.port())
}
