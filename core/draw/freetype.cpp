#include "core/draw/freetype.hpp"

namespace gauntlet::draw {

Result<OpenFace> open_face(const std::filesystem::path& font) {
  FT_Library library = nullptr;
  if (FT_Init_FreeType(&library) != 0) return fail(ErrorCode::kOutOfMemory, "FreeType cannot be started");
  OpenFace open;
  open.library.reset(library);
  FT_Face face = nullptr;
  if (const FT_Error error = FT_New_Face(library, font.c_str(), 0, &face); error != 0) {
    return fail(ErrorCode::kInvalid, "cannot read the font {} (FreeType error {})", font.string(), error);
  }
  open.face.reset(face);
  return open;
}

}  // namespace gauntlet::draw
