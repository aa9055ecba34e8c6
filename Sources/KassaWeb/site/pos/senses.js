// What reaches the clerk beside the screen: a sound, a vibration, and a screen that stays on.

const KEY = "kassa-sound";
let audio = null;
let wakeLock = null;

export const sound = {
  get isOn() {
    try {
      return localStorage.getItem(KEY) !== "off";
    } catch {
      return true;
    }
  },
  turn(isOn) {
    try {
      localStorage.setItem(KEY, isOn ? "on" : "off");
    } catch {
      // It stays on, then.
    }
    if (isOn) attention();
  },
};

/** Browsers allow sound after a first touch only: it is made ready then. */
export function prepareAttention() {
  const prepare = () => {
    try {
      audio ??= new AudioContext();
      if (audio.state === "suspended") audio.resume();
    } catch {
      // No sound on this device.
    }
  };
  for (const event of ["pointerdown", "keydown"]) addEventListener(event, prepare, { passive: true });
}

/** Two soft tones upward, and two short vibrations. */
export function attention() {
  if (!sound.isOn) return;
  if (navigator.userActivation?.hasBeenActive) navigator.vibrate?.([70, 60, 110]);
  if (audio?.state !== "running") return;
  const start = audio.currentTime + 0.02;
  for (const [index, frequency] of [659.25, 987.77].entries()) {
    const at = start + index * 0.14;
    const tone = audio.createOscillator();
    const volume = audio.createGain();
    tone.type = "sine";
    tone.frequency.value = frequency;
    volume.gain.setValueAtTime(0, at);
    volume.gain.linearRampToValueAtTime(0.25, at + 0.015);
    volume.gain.exponentialRampToValueAtTime(0.001, at + 0.5);
    tone.connect(volume).connect(audio.destination);
    tone.start(at);
    tone.stop(at + 0.55);
  }
}

/** Keeps the screen on while the till is in front; a till that went dark misses its customer. */
export function keepAwake() {
  const lock = async () => {
    if (document.visibilityState !== "visible" || (wakeLock && !wakeLock.released)) return;
    try {
      wakeLock = await navigator.wakeLock?.request("screen");
    } catch {
      // A phone that saves its battery says no.
    }
  };
  document.addEventListener("visibilitychange", lock);
  lock();
}
