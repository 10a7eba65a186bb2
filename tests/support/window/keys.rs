//! A reader that acts as a keyboard: the positions of an American keyboard, one after the other, then Enter. By WebDriver,
//! or plugged into the display, where keys go to whichever window has the keyboard.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context as _, Result};
use fantoccini::actions::{InputSource as _, KeyAction, KeyActions};
use fantoccini::key::Key;
use hvflvspot::clock::{Clock as _, SystemClock};
use time::OffsetDateTime;
use x11rb::connection::Connection as _;
use x11rb::protocol::xproto::{
    ConnectionExt as _, GetKeyboardMappingReply, KEY_PRESS_EVENT, KEY_RELEASE_EVENT, Keycode, Keysym,
};
use x11rb::protocol::xtest::ConnectionExt as _;
use x11rb::rust_connection::RustConnection;

/// The key that writes a character on an American keyboard is pressed with Shift.
const fn shifted(character: char) -> bool {
    character.is_ascii_uppercase()
        || matches!(
            character,
            '!' | '@' | '#' | '$' | '%' | '^' | '&' | '*' | '(' | ')' | '_' | '+' | ':' | '?'
        )
}

/// A code as WebDriver's actions, `gap` between two keys.
#[must_use]
pub fn strokes(text: &str, gap: Duration) -> KeyActions {
    let shift = char::from(Key::Shift);
    let mut actions = KeyActions::new("reader".into());
    let mut held = false;
    for character in text.chars().chain([char::from(Key::Enter)]) {
        if shifted(character) != held {
            held = !held;
            actions = actions.then(if held {
                KeyAction::Down { value: shift }
            } else {
                KeyAction::Up { value: shift }
            });
        }
        actions = actions.then(KeyAction::Down { value: character }).then(KeyAction::Up { value: character });
        if !gap.is_zero() {
            actions = actions.then(KeyAction::Pause { duration: gap });
        }
    }
    actions
}

/// Keys that write nothing, by the numbers that X gives them.
const NAMED: [(&str, Keysym); 8] = [
    ("Return", 0xff0d),
    ("Escape", 0xff1b),
    ("F2", 0xffbf),
    ("F4", 0xffc1),
    ("F9", 0xffc6),
    ("Shift", 0xffe1),
    ("Control", 0xffe3),
    ("Alt", 0xffe9),
];

/// A keyboard that is plugged into a display.
#[derive(Debug)]
pub struct Keyboard {
    display: RustConnection,
    /// Which key writes what, and whether with Shift.
    codes: BTreeMap<Keysym, (Keycode, bool)>,
}

impl Keyboard {
    /// Plugs one in.
    ///
    /// # Errors
    /// If the display takes none.
    pub fn plug_in(display: &str) -> Result<Self> {
        let (display, _) = RustConnection::connect(Some(display)).context("connecting to the display")?;
        display.xtest_get_version(2, 2)?.reply().context("the display has no XTEST")?;
        let (low, high) = (display.setup().min_keycode, display.setup().max_keycode);
        let mapping = display.get_keyboard_mapping(low, high - low + 1)?.reply()?;
        Ok(Self { codes: codes(low, &mapping), display })
    }

    fn code(&self, keysym: Keysym) -> Result<(Keycode, bool)> {
        self.codes.get(&keysym).copied().with_context(|| format!("no key for {keysym:#x}"))
    }

    fn named(&self, name: &str) -> Result<Keycode> {
        let known = NAMED.iter().find(|(known, _)| *known == name).map(|(_, keysym)| *keysym);
        let letter = name.chars().next().filter(|_| name.len() == 1).map(u32::from);
        Ok(self.code(known.or(letter).with_context(|| format!("no key is called {name}"))?)?.0)
    }

    fn send(&self, kind: u8, code: Keycode) -> Result<()> {
        self.display.xtest_fake_input(kind, code, 0, x11rb::NONE, 0, 0, 0)?;
        Ok(())
    }

    /// Reads a code and ends it with Enter, a key every `gap`. Tells when Enter was sent, milliseconds since 1970.
    ///
    /// # Errors
    /// If a character is on no key.
    pub async fn read(&self, text: &str, gap: Duration) -> Result<f64> {
        let shift = self.named("Shift")?;
        let mut sent = 0.0;
        let mut pace = (!gap.is_zero()).then(|| tokio::time::interval(gap));
        let mut held = false;
        for keysym in text.chars().map(u32::from).chain([0xff0d]) {
            if let Some(pace) = &mut pace {
                pace.tick().await;
            }
            let (code, shifted) = self.code(keysym)?;
            if shifted != held {
                held = shifted;
                self.send(if held { KEY_PRESS_EVENT } else { KEY_RELEASE_EVENT }, shift)?;
            }
            sent = now_ms();
            self.send(KEY_PRESS_EVENT, code)?;
            self.send(KEY_RELEASE_EVENT, code)?;
            self.display.flush()?;
        }
        self.arrived()?;
        Ok(sent)
    }

    /// Keys held together, such as `["Control", "v"]`. Tells when they were sent, milliseconds since 1970.
    ///
    /// # Errors
    /// If one has no such name.
    pub fn press(&self, names: &[&str]) -> Result<f64> {
        let codes = names.iter().map(|name| self.named(name)).collect::<Result<Vec<_>>>()?;
        let sent = now_ms();
        for code in &codes {
            self.send(KEY_PRESS_EVENT, *code)?;
        }
        for code in codes.iter().rev() {
            self.send(KEY_RELEASE_EVENT, *code)?;
        }
        self.arrived()?;
        Ok(sent)
    }

    /// Waits until the display has taken everything.
    fn arrived(&self) -> Result<()> {
        self.display.get_input_focus()?.reply()?;
        Ok(())
    }
}

/// The clock that a page's `performance.timeOrigin` is of.
fn now_ms() -> f64 {
    (SystemClock.now() - OffsetDateTime::UNIX_EPOCH).as_seconds_f64() * 1e3
}

fn codes(first: Keycode, mapping: &GetKeyboardMappingReply) -> BTreeMap<Keysym, (Keycode, bool)> {
    let mut found = BTreeMap::new();
    let per_key = usize::from(mapping.keysyms_per_keycode).max(1);
    for (code, keysyms) in (first..=Keycode::MAX).zip(mapping.keysyms.chunks(per_key)) {
        for (keysym, shifted) in keysyms.iter().copied().zip([false, true]) {
            // The first key that writes it: a key of the number pad may come later.
            found.entry(keysym).or_insert((code, shifted));
        }
    }
    found
}
