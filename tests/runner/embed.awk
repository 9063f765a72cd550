# embed.awk - a text file as a C string; -v name=SYMBOL. Any POSIX awk.
BEGIN {
    printf "/* generated */\nextern const char %s[];\nconst char %s[] =\n", name, name
}
{
    out = ""
    for (i = 1; i <= length($0); i++) {
        c = substr($0, i, 1)
        if (c == "\\" || c == "\"") {
            out = out "\\"
        }
        out = out c
    }
    printf "    \"%s\\n\"\n", out
}
END { print "    \"\";" }
