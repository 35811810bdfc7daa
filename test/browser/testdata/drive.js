// Uses the example's page as a person would, and reports what has happened. The page's own
// variables, such as pc and channel, are visible here.
(async () => {
  const patience = 60000;
  const report = { error: "", stats: [], frames: [] };
  const query = new URLSearchParams(location.search);

  // until waits until a condition holds.
  async function until(what, condition) {
    for (const end = Date.now() + patience; Date.now() < end; ) {
      const value = await condition();
      if (value) return value;
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
    throw new Error(`it does not happen: ${what}`);
  }
  const lines = (kind) => [...document.querySelectorAll(`#log .${kind}`)].map((line) => line.textContent);
  const received = (text) => until(text, () => lines("received").find((line) => line.startsWith(text)));

  // say sends a message as a person does.
  async function say(text) {
    $("message").value = text;
    $("send").click();
    await received(text);
  }

  // flood sends many messages on a new channel, of all sizes, and compares what comes back.
  async function flood() {
    const own = pc.createDataChannel("flood");
    own.binaryType = "arraybuffer";
    await until("the second channel opens", () => own.readyState == "open");
    const sent = [];
    let back = 0;
    own.onmessage = (event) => {
      const want = sent[back++], got = new Uint8Array(event.data);
      if (got.length != want.length || got.some((b, i) => b != want[i])) report.error = `message ${back} has changed`;
    };
    for (let i = 0; i < 20; i++) {
      sent.push(new Uint8Array(1 + (i * 997) % 4000).fill(i));
      own.send(sent[i]);
    }
    await until("20 messages come back", () => back == 20 || report.error);
  }

  // watch waits until the video goes on, and its picture is what the page has drawn.
  async function watch() {
    const before = await frames();
    await until("ten frames come back", async () => (await frames()) >= before + 10);
    const copy = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
    await until("the picture is the page's", () => {
      const color = (picture) => {
        copy.drawImage(picture, 0, 0, 320, 240);
        return copy.getImageData(20, 20, 1, 1).data;
      };
      const a = [...color($("picture"))], b = [...color($("loop"))];
      return a.some((v) => v > 60) && a.every((v, i) => Math.abs(v - b[i]) < 40);
    });
    report.frames.push(await frames());
  }

  async function stats() {
    const found = {};
    for (const s of (await pc.getStats()).values()) if (s.type == "transport") Object.assign(found, s);
    report.stats.push(found);
  }

  try {
    $("setup").value = query.get("setup");
    $("version").value = query.get("version");
    $("start").click();
    if (query.get("tamper")) {
      await until("the connection fails", () => pc.connectionState == "failed");
      return;
    }
    await received("DTLS");
    await received("The program is at 127.0.0.1:");
    await say("hello");
    await flood();
    await watch();
    await stats();
    const flooding = flood(); // in the middle of which the path changes
    $("restart").click();
    await received("The program is at 127.0.0.2:");
    await say("hello again");
    await flooding;
    await watch();
    await stats();
    await until("the connection is shown", () => pc.connectionState == "connected");
  } catch (error) {
    report.error = report.error || String(error);
    // For the reader of the failure: what the browser knows of the media.
    for (const s of (await pc.getStats()).values()) if (s.type.endsWith("bound-rtp")) report.error += "\n" + JSON.stringify(s);
  } finally {
    for (const kind of ["received", "sent", "state"]) report[kind] = lines(kind);
    await fetch("/test/report", { method: "POST", body: JSON.stringify(report) });
  }
})();
