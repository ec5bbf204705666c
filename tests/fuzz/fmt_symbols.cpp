// Clang 14 spells this symbol otherwise than the compiler that built Debian's libfmt.
#include <fmt/format.h>

template void fmt::detail::vformat_to<char>(buffer<char>&, basic_string_view<char>,
                                            basic_format_args<FMT_BUFFER_CONTEXT(type_identity_t<char>)>,
                                            locale_ref);
