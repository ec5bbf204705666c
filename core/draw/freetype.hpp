// FreeType handles that free themselves.
#pragma once

#include <ft2build.h>
#include FT_FREETYPE_H

#include <filesystem>
#include <memory>
#include <type_traits>

#include "core/base/result.hpp"

namespace gauntlet::draw {

struct FreeTypeDeleter {
  void operator()(FT_Library library) const { FT_Done_FreeType(library); }
  void operator()(FT_Face face) const { FT_Done_Face(face); }
};
using FreeTypeLibrary = std::unique_ptr<std::remove_pointer_t<FT_Library>, FreeTypeDeleter>;
using FreeTypeFace = std::unique_ptr<std::remove_pointer_t<FT_Face>, FreeTypeDeleter>;

/// A face with the library it lives in (destroyed after it).
struct OpenFace {
  FreeTypeLibrary library;
  FreeTypeFace face;
};

/// Errors (kInvalid): FreeType cannot read the file.
[[nodiscard]] Result<OpenFace> open_face(const std::filesystem::path& font);

}  // namespace gauntlet::draw
