import { Controller, Get, HttpCode, Post, Req, Res } from '@nestjs/common';
import { ApiExcludeController } from '@nestjs/swagger';
import type { Request, Response } from 'express';
import { Public } from './access.decorator.js';
import { SignInService } from './sign-in.service.js';

/** Where the browser of a person who signs in goes. It is no part of the API, and exists only where OIDC_ISSUER is set. */
@ApiExcludeController()
@Public()
@Controller('sign-in')
export class SignInController {
  constructor(private readonly signIn: SignInService) {}

  @Get()
  begin(@Req() request: Request, @Res() response: Response): Promise<void> {
    return this.signIn.begin(request, response);
  }

  @Get('callback')
  complete(@Req() request: Request, @Res() response: Response): Promise<void> {
    return this.signIn.complete(request, response);
  }

  @Post('end')
  @HttpCode(200)
  end(
    @Req() request: Request,
    @Res({ passthrough: true }) response: Response,
  ): Promise<{ continueAt: string | null }> {
    return this.signIn.end(request, response);
  }
}
