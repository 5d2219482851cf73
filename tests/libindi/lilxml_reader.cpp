// Reads one stream per line, in hexadecimal, and prints the elements that lilxml finds in it, one JSON list per line.

#include <libindi/lilxml.h>

#include <cstdio>
#include <iostream>
#include <string>

static void hex(const char *text)
{
    putchar('"');
    for (auto c = reinterpret_cast<const unsigned char *>(text); *c; c++)
        printf("%02x", *c);
    putchar('"');
}

static void show(XMLEle *element)
{
    putchar('[');
    hex(tagXMLEle(element));
    printf(", [");
    const char *between = "";
    for (XMLAtt *one = nextXMLAtt(element, 1); one; one = nextXMLAtt(element, 0), between = ", ") {
        printf("%s[", between);
        hex(nameXMLAtt(one));
        printf(", ");
        hex(valuXMLAtt(one));
        putchar(']');
    }
    printf("], ");
    hex(pcdataXMLEle(element));
    printf(", [");
    between = "";
    for (XMLEle *child = nextXMLEle(element, 1); child; child = nextXMLEle(element, 0), between = ", ") {
        printf("%s", between);
        show(child);
    }
    printf("]]");
}

int main()
{
    std::string line;
    while (std::getline(std::cin, line)) {
        LilXML *reader = newLilXML();
        char error[4096];
        const char *between = "";
        putchar('[');
        for (size_t at = 0; at + 1 < line.size(); at += 2) {
            char byte = static_cast<char>(std::stoi(line.substr(at, 2), nullptr, 16));
            error[0] = 0;
            if (XMLEle *element = readXMLEle(reader, byte, error)) {
                printf("%s", between);
                between = ", ";
                show(element);
                delXMLEle(element);
            }
        }
        puts("]");
        delLilXML(reader);
    }
}
