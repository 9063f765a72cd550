# embed.awk - text files into one C source: struct mgd_text NAME[] = {{"file", "text"}, ..., {0, 0}}.
# Usage: awk -v name=mgd_yang_texts -f embed.awk FILE...   The name of a text is its file name.
# String literals are one per line of text, so the result is readable and the same everywhere.
BEGIN {
    print "/* made by re/mgd/embed.awk */"
    print "#include \"re/mgd/text.h\""
    print "const struct mgd_text " name "[] = {"
}
FNR == 1 {
    if (open) {
        print "    },"
    }
    open = 1
    file = FILENAME
    sub(/.*\//, "", file)
    printf "    {\"%s\",\n     \"\"\n", file
}
{
    gsub(/\\/, "&&") # doubled, whatever this awk makes of backslashes
    gsub(/"/, "\\\"")
    gsub(/\t/, "\\t")
    print "     \"" $0 "\\n\""
}
END {
    if (open) {
        print "    },"
    }
    print "    {0, 0},\n};"
}
