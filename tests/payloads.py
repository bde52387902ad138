"""Names that would be more than names wherever they are not treated as text."""

from __future__ import annotations

AWAY = "http://127.0.0.1:9/a"
TAGS = (
    "<img src=x onerror=alert(1)>",
    "<script>alert(1)</script>",
    "<svg onload=alert(1)>",
    "<svg><script>alert(1)</script></svg>",
    f"<iframe src={AWAY}>",
    "<iframe srcdoc='<script>alert(1)</script>'>",
    f"<object data={AWAY}>",
    f"<embed src={AWAY}>",
    f"<link rel=stylesheet href={AWAY}>",
    "<style>*{background:url(" + AWAY + ")}</style>",
    f"<base href={AWAY}>",
    f"<meta http-equiv=refresh content='0;url={AWAY}'>",
    "<body onload=alert(1)>",
    "<details open ontoggle=alert(1)>",
    "<input autofocus onfocus=alert(1)>",
    f"<video src={AWAY} onerror=alert(1)>",
    f"<audio src={AWAY} onerror=alert(1)>",
    "<marquee onstart=alert(1)>",
    "<math><mtext></form><form><mglyph><style></math><img src onerror=alert(1)>",
    "<a href=javascript:alert(1)>x</a>",
    f"<form action={AWAY}><button autofocus>x",
    "<template><img src=x onerror=alert(1)></template>",
    "</div><img src=x onerror=alert(1)>",
    "</script><script>alert(1)</script>",
    "</style><img src=x onerror=alert(1)>",
    "</title><img src=x onerror=alert(1)>",
    "</textarea><img src=x onerror=alert(1)>",
    "--><img src=x onerror=alert(1)>",
    "]]><img src=x onerror=alert(1)>",
    '"><img src=x onerror=alert(1)>',
    "'><img src=x onerror=alert(1)>",
    '" onmouseover=alert(1) x="',
    "' onfocus=alert(1) autofocus x='",
    "`onerror=alert(1)`",
    "&lt;img src=x onerror=alert(1)&gt;",
    "&#60;img src=x onerror=alert(1)&#62;",
)
MARKDOWN = (
    f"![a]({AWAY}.png)",
    f"[a]({AWAY})",
    "[a](javascript:alert(1))",
    f"<{AWAY}>",
    AWAY,
    f"![a][b]\n\n[b]: {AWAY}.png",
    ":material/home: :red[red] :smile:",
    "$\\href{javascript:alert(1)}{x}$",
    "# heading **bold** `code` ~~gone~~",
    "- [ ] a list | a | table |",
)
OTHERS = (
    "{{7*7}} ${7*7} <%= 7*7 %>",
    "%(name)s {name} {0}",
    "\u202egnp.exe",
    "a\x07b\x1b[31mred",
)
PAYLOADS = (*TAGS, *MARKDOWN, *OTHERS)
