//! A page in a headless Chromium, by the DevTools protocol: JSON messages on pipes, each ended by a zero byte.
//!
//! Invariant: whatever the page reports as an error, a breach of its content policy included, is in `errors`.

use std::collections::VecDeque;
use std::io::{BufRead, BufReader, Write};
use std::process::{ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::programs::{Program, Scratch};
use crate::session::HANG;

/// The answer to a request that the test gives in place of a server: type and body.
pub type Answer = (&'static str, String);

/// Answers to paths; no answer is a lost connection.
pub type Answers = Box<dyn FnMut(&str) -> Option<Answer>>;

pub struct Browser {
    /// Fields are dropped in order: the program ends before its directory goes.
    _program: Program,
    _profile: Scratch,
    input: ChildStdin,
    messages: Receiver<Value>,
    /// Of the attached page.
    session: Option<String>,
    last: u64,
    answers: Option<Answers>,
    pending: VecDeque<Value>,
    pub errors: Vec<String>,
}

impl Browser {
    /// A visible page of `width` × `height`, still empty. `answers` take the place of servers.
    pub fn open(width: u32, height: u32, answers: Option<Answers>) -> Browser {
        let profile = Scratch::new("browser");
        let mut command = Command::new("bash");
        // Chromium reads messages from descriptor 3 and writes them to 4. As root it has no sandbox.
        command
            .args(["-c", "exec \"$0\" \"$@\" 3<&0 4>&1 1>&2", "chromium-headless-shell"])
            .args(["--remote-debugging-pipe", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"])
            .args(["--no-first-run", "--disable-background-networking", "--lang=en-US"])
            .arg(format!("--user-data-dir={}", profile.path()))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null());
        let mut program = Program::start(&mut command);
        let input = program.child().stdin.take().expect("piped");
        let output = program.child().stdout.take().expect("piped");
        let (sender, messages) = channel();
        std::thread::spawn(move || {
            for message in BufReader::new(output).split(0).map_while(Result::ok) {
                let message = serde_json::from_slice(&message).expect("Chromium writes JSON");
                if sender.send(message).is_err() {
                    break;
                }
            }
        });
        let mut browser = Browser {
            _program: program,
            _profile: profile,
            input,
            messages,
            session: None,
            last: 0,
            answers,
            pending: VecDeque::new(),
            errors: Vec::new(),
        };
        browser.attach(width, height);
        browser
    }

    fn attach(&mut self, width: u32, height: u32) {
        let page = self.call("Target.createTarget", json!({"url": "about:blank", "width": width, "height": height}));
        let attached = self.call("Target.attachToTarget", json!({"targetId": page["targetId"], "flatten": true}));
        self.session = attached["sessionId"].as_str().map(str::to_owned);
        for domain in ["Page", "Runtime", "Log"] {
            self.call(&format!("{domain}.enable"), json!({}));
        }
        if self.answers.is_some() {
            self.call("Fetch.enable", json!({}));
        }
    }

    /// Sends a command and waits for its result.
    pub fn call(&mut self, method: &str, parameters: Value) -> Value {
        let id = self.send(method, parameters);
        loop {
            let message = self.receive(HANG).unwrap_or_else(|| panic!("no answer to {method}"));
            if message["id"] == id {
                assert!(message["error"].is_null(), "{method}: {}", message["error"]);
                return message["result"].clone();
            }
            self.pending.push_back(message);
            self.serve();
        }
    }

    fn send(&mut self, method: &str, parameters: Value) -> u64 {
        self.last += 1;
        let mut message = json!({"id": self.last, "method": method, "params": parameters});
        if let Some(session) = &self.session {
            message["sessionId"] = json!(session);
        }
        let mut bytes = message.to_string().into_bytes();
        bytes.push(0);
        self.input.write_all(&bytes).expect("Chromium reads");
        self.last
    }

    fn receive(&mut self, time: Duration) -> Option<Value> {
        self.messages.recv_timeout(time).ok()
    }

    /// Answers the requests of the page, and notes its errors.
    fn serve(&mut self) {
        while let Some(message) = self.pending.pop_front() {
            let of = &message["params"];
            match message["method"].as_str() {
                Some("Fetch.requestPaused") => self.answer(of),
                Some("Runtime.exceptionThrown") => self.errors.push(of["exceptionDetails"].to_string()),
                Some("Log.entryAdded") if of["entry"]["level"] == "error" => {
                    self.errors.push(of["entry"]["text"].as_str().unwrap_or_default().to_owned());
                }
                _ => (),
            }
        }
    }

    fn answer(&mut self, request: &Value) {
        let url = request["request"]["url"].as_str().unwrap_or_default();
        let path = url.splitn(4, '/').nth(3).unwrap_or_default();
        let answer = self.answers.as_mut().and_then(|answers| answers(path));
        let id = &request["requestId"];
        match answer {
            Some((kind, body)) => self.send(
                "Fetch.fulfillRequest",
                json!({"requestId": id, "responseCode": 200, "body": base64(body.as_bytes()),
                       "responseHeaders": [{"name": "Content-Type", "value": kind}]}),
            ),
            None => self.send("Fetch.failRequest", json!({"requestId": id, "errorReason": "ConnectionRefused"})),
        };
    }

    pub fn go(&mut self, url: &str) {
        let gone = self.call("Page.navigate", json!({"url": url}));
        assert!(gone["errorText"].is_null(), "{url}: {gone}");
    }

    /// The value of an expression in the page.
    pub fn value(&mut self, expression: &str) -> Value {
        let outcome = self.call("Runtime.evaluate", json!({"expression": expression, "returnByValue": true}));
        assert!(outcome["exceptionDetails"].is_null(), "{expression}: {}", outcome["exceptionDetails"]);
        outcome["result"]["value"].clone()
    }

    pub fn holds(&mut self, expression: &str) -> bool {
        self.value(expression) == true
    }

    /// Polls until an expression is true; how long that took.
    pub fn wait_until(&mut self, expression: &str) -> Duration {
        let started = Instant::now();
        while !self.holds(expression) {
            assert!(started.elapsed() < HANG, "still not: {expression}\nerrors of the page: {:?}", self.errors);
            self.wait(Duration::from_millis(20));
        }
        started.elapsed()
    }

    /// Lets the page run for a time.
    pub fn wait(&mut self, time: Duration) {
        let end = Instant::now() + time;
        while let Some(left) = end.checked_duration_since(Instant::now()) {
            if let Some(message) = self.receive(left) {
                self.pending.push_back(message);
                self.serve();
            }
        }
    }

    /// Presses a key by its name, such as `Enter`, or types a character.
    pub fn press(&mut self, key: &str) {
        let mut event = json!({"type": "keyDown", "key": key});
        match key {
            "Enter" => (event["text"], event["windowsVirtualKeyCode"]) = (json!("\r"), json!(13)),
            "Tab" => event["windowsVirtualKeyCode"] = json!(9),
            key if key.chars().count() == 1 => event["text"] = json!(key),
            _ => (),
        }
        self.call("Input.dispatchKeyEvent", event.clone());
        event["type"] = json!("keyUp");
        self.call("Input.dispatchKeyEvent", event);
    }
}

fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for group in bytes.chunks(3) {
        let bits = group.iter().enumerate().fold(0u32, |bits, (at, byte)| bits | u32::from(*byte) << (16 - 8 * at));
        for digit in 0..4 {
            let known = digit <= group.len();
            text.push(if known { char::from(DIGITS[(bits >> (18 - 6 * digit) & 63) as usize]) } else { '=' });
        }
    }
    text
}
