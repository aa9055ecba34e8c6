// Requests that no sample of the document makes, but a reader may: what is special in one of the ten languages, or in all.

/** Quotes, escapes, interpolations and the ends of raw strings, in one text. */
const difficultText = [
  "it's \"quoted\" `ticked`", "back\\slash \\n \\u0041 \\", "$HOME ${HOME} $(id) %s %d {0} {name}",
  "#{1 + 1} #@a #$b", "<?php ?> */ /* // # --", '""" ))-" )" )--"', "'''", "!history", "line\nfeed\ttab\rreturn",
  "\u0001\u001f\u007f", "åäö ÅÄÖ ß 漢字 🙂 \u2028 \u00a0", "</script> &amp; <!--", "trailing ",
].join(" ");

const difficultKeys = {
  "0": "a key like a number", __proto__: undefined, constructor: "a key like a member", "it's": "a key with a quote",
  "a \"b\" \\ $c #{d}": "a key with everything", "-": "", class: "a word of the language",
};
delete difficultKeys.__proto__;

/** Every visible character of ASCII. */
const visible = Array.from({ length: 94 }, (_, index) => String.fromCharCode(33 + index)).join("");

/** Further rows of the run, for those of the operations that are in it. */
export function difficultSamples(operations) {
  const rows = [
    {
      id: "createEnrollment",
      given: {
        body: { expires_in: 3600000, metadata: { text: difficultText, ...difficultKeys } },
        // It begins with a letter: some clients take white space and signs off the beginning.
        values: { "header:Idempotency-Key": visible },
      },
    },
    { id: "createEnrollment", variant: "number-keys", given: { body: { metadata: { 0: "zero", 1: "one" } } } },
    { id: "createEnrollment", variant: "prototype", given: { body: JSON.parse('{"metadata":{"__proto__":"a"}}') } },
    {
      id: "listDevices",
      given: { values: { "query:metadata": [`text:${difficultText}`, "a:b c+d&e=f?g/h#i%20;j,k"] } },
    },
  ];
  return rows.flatMap(({ id, variant, given }) => {
    const operation = operations.find((one) => one.id === id);
    return operation ? [{ operation, variant: { id: variant ?? "difficult" }, given }] : [];
  });
}
