# Writes a C file that holds files, for src/web:
#
#   cmake -DOUTPUT=web_files.c -DFOLDER=web "-DFILES=a.html;b.css" -P embed.cmake
#
# Each becomes a row {path, content type, bytes, length, etag} of the table in web_files.h; paths are
# relative to FOLDER.
set(type_html "text/html; charset=utf-8")
set(type_css "text/css; charset=utf-8")
set(type_js "text/javascript; charset=utf-8")
set(type_svg "image/svg+xml")
set(type_png "image/png")

set(arrays "")
set(rows "")
set(n 0)
foreach(file IN LISTS FILES)
  get_filename_component(extension ${file} LAST_EXT)
  string(SUBSTRING ${extension} 1 -1 extension)
  if(NOT DEFINED type_${extension})
    message(FATAL_ERROR "embed.cmake knows no content type for ${file}")
  endif()
  file(READ ${FOLDER}/${file} hex HEX)
  file(SHA256 ${FOLDER}/${file} hash)
  string(SUBSTRING ${hash} 0 32 hash)
  string(REGEX REPLACE "(................................)" "\\1\n" hex "${hex}")
  string(REGEX REPLACE "([0-9a-f][0-9a-f])" "0x\\1," hex "${hex}")
  # The zero at the end belongs to no file: C knows no empty arrays.
  string(APPEND arrays "static const unsigned char file_${n}[] = {\n${hex}0};\n\n")
  string(APPEND rows "    {\"${file}\", \"${type_${extension}}\", file_${n}, sizeof file_${n} - 1, "
                     "\"\\\"${hash}\\\"\"},\n")
  math(EXPR n "${n} + 1")
endforeach()

file(WRITE ${OUTPUT} "/* Made by cmake/embed.cmake from the files in web/. */
#include \"web/web_files.h\"

${arrays}const struct web_file web_files[] = {
${rows}};
const size_t web_files_n = sizeof web_files / sizeof web_files[0];
")
