//! Random programs in C, whose functions call each other in every way that makes unwinding hard.

use std::fmt::Write as _;

use guru_testkit::Random;

const FUNCTIONS: u32 = 26;

/// A program: `run` calls the first function, and a function calls only later ones, or itself a few
/// times. At the end `finish` is called, which never returns.
pub fn source(seed: u64) -> String {
    let mut random = Random::new(seed);
    let mut text = String::from(
        "typedef unsigned u;\n\
         #define NO __attribute__((noinline, noipa))\n\
         #define ALWAYS static inline __attribute__((always_inline))\n\
         volatile u sink; volatile u source_ = 1;\n\
         extern void finish(void) __attribute__((noreturn));\n\
         void *memcpy(void *to, const void *from, u len) {\n\
         for (u i = 0; i < len; i++) ((volatile char *)to)[i] = ((volatile const char *)from)[i];\n\
         return to; }\n",
    );
    for number in 0..FUNCTIONS {
        let _ = writeln!(text, "u f{number}(u a, u b);");
    }
    text.push_str("u many(u a, u b, u c, u d, u e, u f, u g, u h, u i, u j);\n");
    let _ = writeln!(
        text,
        "u (*const table[])(u, u) = {{ f{}, f{}, f{} }};",
        FUNCTIONS - 1,
        FUNCTIONS - 2,
        FUNCTIONS - 3
    );
    text.push_str(
        "NO u many(u a, u b, u c, u d, u e, u f, u g, u h, u i, u j) {\n\
         volatile u keep[3] = { a, i, j }; return f22(keep[0] + b + c + d, e + f + g + h + keep[2]); }\n",
    );
    for number in 0..FUNCTIONS {
        function(&mut text, number, &mut random);
    }
    text.push_str(
        "NO __attribute__((noreturn)) void leave(u a) { sink = f20(a, 3); finish(); }\n\
         u run(u a) { u sum = f0(a, 1); sum += f1(sum, 2); leave(sum); }\n",
    );
    text
}

fn function(text: &mut String, number: u32, random: &mut Random) {
    // The last ones are leaves.
    let leaf = number + 4 >= FUNCTIONS;
    let mut callee = || {
        let later = FUNCTIONS - number - 1;
        // Mostly near ones, so that chains are long.
        number + 1 + random.below(later.clamp(1, 4).into()) as u32
    };
    let (x, y) = if leaf { (0, 0) } else { (callee(), callee()) };
    let body = match number {
        _ if leaf && number.is_multiple_of(2) => {
            "u s = b; for (u i = 0; i < (a & 7); i++) s = s * 31 + i; return s;".to_owned()
        }
        _ if leaf => "volatile u t[4] = { a, b, 1, 2 }; return t[a & 3] ^ t[1];".to_owned(),
        _ => match (number + random.below(3) as u32) % 11 {
            0 => format!("u s = f{x}(a + 1, b); s ^= f{y}(b, s); return s + a;"),
            1 => format!(
                "if ((a & 3) == 0 || b > 0xf0000000u) return b; u s = a * 3; \
                 for (u i = 0; i < 2; i++) s += f{x}(s, i); sink = s; return f{y}(s, a) + b;"
            ),
            2 => format!(
                "if (b % 5 != 0) return f{number}(a + 2, b - 1) + 1; \
                 return f{x}(a, 0) ^ b;"
            ),
            3 => format!(
                "u n = 8 + (a & 31); volatile u char_[1]; volatile unsigned char *p = __builtin_alloca(n); \
                 char_[0] = a; p[0] = b; p[n - 1] = a; u s = f{x}(p[0], p[n - 1]); return s + p[0] + char_[0];"
            ),
            4 => format!("sink = a; return f{x}(a + b, b);"),
            5 => format!("u s = table[(a + source_) % 3](a, b); return f{x}(s, a) + b;"),
            6 => format!(
                "volatile u big[900]; big[a & 511] = b; big[899] = a; u s = f{x}(big[899], a); return s + big[a & 511];"
            ),
            7 => format!(
                "u s = many(a, b, a + 1, b + 1, a ^ b, 1, 2, 3, a, b); if (s & 1) return f{x}(s, b); return f{y}(b, s) + 1;"
            ),
            8 => format!(
                "switch (a & 7) {{ case 0: return f{x}(a, b); case 1: sink = f{y}(b, a); return 1; \
                 case 2: return f{x}(b, 2) * 3; case 3: sink = b; return f{y}(1, 2) + 1; \
                 case 4: return f{x}(b, 4) + 5; case 5: sink = f{x}(a, 1); break; case 6: return b; default: sink = 9; }} \
                 return f{y}(a, b) ^ 3;"
            ),
            9 => {
                format!("u s = a; s += within{number}(s, b); s += within{number}(b, s); return s;")
            }
            _ => format!(
                "u s = 0, t = a, v = b, w = a ^ b; s = f{x}(t, v); t = s + w; v ^= f{y}(w, t); \
                 w = s - v; s = f{x}(w, 5); return s + t + v + w;"
            ),
        },
    };
    if body.contains("within") {
        let _ = writeln!(
            text,
            "ALWAYS u deeper{number}(u a) {{ u s = f{x}(a, 7); return s ^ a; }}\n\
             ALWAYS u within{number}(u a, u b) {{ u s = deeper{number}(a + b); return s + f{y}(s, b); }}"
        );
    }
    let _ = writeln!(text, "NO u f{number}(u a, u b) {{ {body} }}");
}
