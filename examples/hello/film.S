/* The film as a string. The file is made by `cargo xtask examples`, beside the ELF. */

    .section .rodata.film, "a"
    .global film
film:
    .incbin "film.txt"
    .byte   0
